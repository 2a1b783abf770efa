/* The type of a file, by its extension. */
#include "net/http/files/files_internal.h"

#include <string.h>
#include <strings.h>

#define TEXT(type) "text/" type "; charset=utf-8"

/* Sorted by extension. Types as registered with IANA, else as browsers expect them. */
static const struct mime {
    const char *extension, *type;
    bool is_compressible;
} mimes[] = {
    {"7z", "application/x-7z-compressed", false},
    {"aac", "audio/aac", false},
    {"apng", "image/apng", false},
    {"atom", "application/atom+xml", true},
    {"avi", "video/x-msvideo", false},
    {"avif", "image/avif", false},
    {"bin", "application/octet-stream", false},
    {"bmp", "image/bmp", true},
    {"br", "application/x-brotli", false},
    {"bz2", "application/x-bzip2", false},
    {"c", TEXT("plain"), true},
    {"cjs", TEXT("javascript"), true},
    {"conf", TEXT("plain"), true},
    {"css", TEXT("css"), true},
    {"csv", TEXT("csv"), true},
    {"doc", "application/msword", false},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", false},
    {"eot", "application/vnd.ms-fontobject", true},
    {"epub", "application/epub+zip", false},
    {"flac", "audio/flac", false},
    {"gif", "image/gif", false},
    {"gz", "application/gzip", false},
    {"h", TEXT("plain"), true},
    {"htm", TEXT("html"), true},
    {"html", TEXT("html"), true},
    {"ico", "image/vnd.microsoft.icon", true},
    {"ics", TEXT("calendar"), true},
    {"jpeg", "image/jpeg", false},
    {"jpg", "image/jpeg", false},
    {"js", TEXT("javascript"), true},
    {"json", "application/json", true},
    {"jsonld", "application/ld+json", true},
    {"jxl", "image/jxl", false},
    {"log", TEXT("plain"), true},
    {"m3u8", "application/vnd.apple.mpegurl", true},
    {"m4a", "audio/mp4", false},
    {"m4v", "video/mp4", false},
    {"map", "application/json", true},
    {"md", TEXT("markdown"), true},
    {"mid", "audio/midi", true},
    {"mjs", TEXT("javascript"), true},
    {"mkv", "video/matroska", false},
    {"mov", "video/quicktime", false},
    {"mp3", "audio/mpeg", false},
    {"mp4", "video/mp4", false},
    {"mpd", "application/dash+xml", true},
    {"mpeg", "video/mpeg", false},
    {"odp", "application/vnd.oasis.opendocument.presentation", false},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet", false},
    {"odt", "application/vnd.oasis.opendocument.text", false},
    {"oga", "audio/ogg", false},
    {"ogg", "audio/ogg", false},
    {"ogv", "video/ogg", false},
    {"opus", "audio/ogg", false},
    {"otf", "font/otf", true},
    {"pdf", "application/pdf", false},
    {"png", "image/png", false},
    {"ppt", "application/vnd.ms-powerpoint", false},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", false},
    {"rar", "application/vnd.rar", false},
    {"rss", "application/rss+xml", true},
    {"rtf", "application/rtf", true},
    {"sh", TEXT("plain"), true},
    {"svg", "image/svg+xml", true},
    {"tar", "application/x-tar", true},
    {"tif", "image/tiff", false},
    {"tiff", "image/tiff", false},
    {"toml", "application/toml", true},
    {"ts", "video/mp2t", false},
    {"ttf", "font/ttf", true},
    {"txt", TEXT("plain"), true},
    {"vtt", TEXT("vtt"), true},
    {"wasm", "application/wasm", true},
    {"wav", "audio/wav", false},
    {"weba", "audio/webm", false},
    {"webm", "video/webm", false},
    {"webmanifest", "application/manifest+json", true},
    {"webp", "image/webp", false},
    {"woff", "font/woff", false},
    {"woff2", "font/woff2", false},
    {"xhtml", "application/xhtml+xml", true},
    {"xls", "application/vnd.ms-excel", false},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", false},
    {"xml", "application/xml", true},
    {"xz", "application/x-xz", false},
    {"yaml", "application/yaml", true},
    {"yml", "application/yaml", true},
    {"zip", "application/zip", false},
    {"zst", "application/zstd", false},
};

static const struct mime *mime_find(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    if (dot == NULL || dot == base)
        return NULL;
    size_t low = 0, high = sizeof(mimes) / sizeof(mimes[0]);
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcasecmp(dot + 1, mimes[middle].extension);
        if (order == 0)
            return &mimes[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const char *leat_mime_type(const char *name)
{
    const struct mime *mime = mime_find(name);
    return mime != NULL ? mime->type : "application/octet-stream";
}

bool files_is_compressible(const char *name)
{
    const struct mime *mime = mime_find(name);
    return mime != NULL && mime->is_compressible;
}

const char *files_mime_extension(unsigned index)
{
    return index < sizeof(mimes) / sizeof(mimes[0]) ? mimes[index].extension : NULL;
}
