/* All of Leat's public headers. */
#ifndef LEAT_LEAT_H
#define LEAT_LEAT_H

#include <leat/abort.h>
#include <leat/addr.h>
#include <leat/buf.h>
#include <leat/check.h>
#include <leat/codec.h>
#include <leat/coder.h>
#include <leat/conn.h>
#include <leat/cookie.h>
#include <leat/defs.h>
#include <leat/emitter.h>
#include <leat/digest.h>
#include <leat/error.h>
#include <leat/file.h>
#include <leat/files.h>
#include <leat/fs.h>
#include <leat/form.h>
#include <leat/fs_stream.h>
#include <leat/future.h>
#include <leat/http.h>
#include <leat/io.h>
#include <leat/lines.h>
#include <leat/json.h>
#include <leat/log.h>
#include <leat/loop.h>
#include <leat/lru.h>
#include <leat/memory.h>
#include <leat/method.h>
#include <leat/metrics.h>
#include <leat/options.h>
#include <leat/pool.h>
#include <leat/result.h>
#include <leat/random.h>
#include <leat/run.h>
#include <leat/signals.h>
#include <leat/stream.h>
#include <leat/stream_conn.h>
#include <leat/timer.h>
#include <leat/transform.h>
#include <leat/udp.h>
#include <leat/version.h>
#include <leat/view.h>
#include <leat/watch_fs.h>

#endif
