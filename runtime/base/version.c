/* The version and what was built in, from meson.build. */
#include <leat/version.h>

#include <leat_config.h>

const char *leat_version(void)
{
    return LEAT_VERSION;
}

const char *leat_version_build(void)
{
    return LEAT_BUILT_WITH;
}
