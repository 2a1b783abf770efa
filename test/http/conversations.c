/* The table. Limits are those of test/http/server.c: target 256, head 1024 bytes, 10 headers. */
#include "test/http/conversations.h"

#include <stddef.h>

const struct conversation conversations[] = {
    {.name = "a request is answered",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello",
     .has = "Content-Length: 5\r\n",
     .lacks = "Connection:"},
    {.name = "Server and Date come with it",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello",
     .has = "HTTP/1.1 200 OK\r\n"
            "Server: leat\r\n"
            "Date: Wed, 09 Sep 2026 01:46:40 GMT\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n"},
    {.name = "the absolute form",
     .request = "GET http://a/user/3 HTTP/1.1\r\n"
                "Host: b\r\n"
                "\r\n",
     .outcome = "200 3"},
    {.name = "the absolute form without a path",
     .request = "GET http://a HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "the absolute form of another scheme goes on",
     .request = "GET https://a/ HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET HTTP://a/ HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "421 Misdirected Request | 200 hello"},
    {.name = "codings over several lines are one list",
     .request = "POST /collect HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: gzip\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "501 Not Implemented | close"},
    {.name = "an empty line before a request",
     .request = "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "pipelined by three",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /user/1 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /nowhere HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 1 | 404 Not Found"},
    {.name = "pipelined behind a deferred one",
     .request = "GET /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /user/9 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 /later a  | 200 hello | 200 9"},
    {.name = "pipelined bodies",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "onePOST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "twoGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 one | 200 two | 200 hello"},
    {.name = "pipelined behind a chunked body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2\r\n"
                "ab\r\n"
                "1\r\n"
                "c\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 abc | 200 hello"},
    {.name = "Connection: close",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Connection: close\r\n"
                "\r\n",
     .outcome = "200 hello | close",
     .has = "Connection: close\r\n"},
    {.name = "close in a list",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Connection: foo, Close\r\n"
                "\r\n",
     .outcome = "200 hello | close"},
    {.name = "HTTP/1.0 closes",
     .request = "GET / HTTP/1.0\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | close",
     .has = "Connection: close\r\n"},
    {.name = "HTTP/1.0 with keep-alive stays",
     .request = "GET / HTTP/1.0\r\n"
                "Host: a\r\n"
                "Connection: keep-alive\r\n"
                "\r\n"
                "GET / HTTP/1.0\r\n"
                "Host: a\r\n"
                "Connection: keep-alive\r\n"
                "\r\n",
     .outcome = "200 hello | 200 hello",
     .has = "Connection: keep-alive\r\n"},
    {.name = "HTTP/1.0 without Host",
     .request = "GET / HTTP/1.0\r\n"
                "\r\n",
     .outcome = "200 hello | close"},
    {.name = "nothing is read behind a close",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Connection: close\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | close",
     .overruns = true},
    {.name = "the handler closes",
     .request = "GET /close HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 bye | close",
     .has = "Connection: close\r\n"},
    {.name = "the client half-closes behind a deferred request",
     .request = "GET /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 /later a  | close",
     .ends = true},
    {.name = "the client half-closes in a head",
     .request = "GET / HT",
     .outcome = "close",
     .ends = true},
    {.name = "the client half-closes in a body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 5\r\n"
                "\r\n"
                "ab",
     .outcome = "400 Bad Request | close",
     .ends = true},
    {.name = "HEAD has no body",
     .request = "HEAD / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200",
     .has = "Content-Length: 5\r\n",
     .lacks = "hello",
     .heads = 1},
    {.name = "HEAD of a large body",
     .request = "HEAD /big HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello",
     .has = "Content-Length: 100000\r\n",
     .heads = 1},
    {.name = "HEAD of a file",
     .request = "HEAD /file HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello",
     .has = "Content-Length: 5\r\n",
     .heads = 1},
    {.name = "HEAD of a chunked one",
     .request = "HEAD /chunked HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello",
     .lacks = "world",
     .heads = 1},
    {.name = "HEAD of a streamed one with a length",
     .request = "HEAD /length HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello",
     .has = "Content-Length: 11\r\n",
     .heads = 1},
    {.name = "HEAD of what is not there",
     .request = "HEAD /no HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 | 200 hello",
     .heads = 1},
    {.name = "204 has no body and no length",
     .request = "GET /empty HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "204 | 200 hello"},
    {.name = "204 alone",
     .request = "GET /empty HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "204",
     .lacks = "Content-Length"},
    {.name = "OPTIONS *",
     .request = "OPTIONS * HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "204",
     .has = "Allow: GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH\r\n"},
    {.name = "OPTIONS of a path",
     .request = "OPTIONS /thing HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "204",
     .has = "Allow: POST, DELETE, OPTIONS\r\n"},
    {.name = "OPTIONS of no path",
     .request = "OPTIONS /no HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found"},
    {.name = "405 with Allow",
     .request = "GET /thing HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "405 Method Not Allowed",
     .has = "Allow: POST, DELETE, OPTIONS\r\n"},
    {.name = "405 names HEAD with GET",
     .request = "DELETE /redirect HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "405 Method Not Allowed",
     .has = "Allow: GET, HEAD, OPTIONS\r\n"},
    {.name = "TRACE is not there",
     .request = "TRACE / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "405 Method Not Allowed"},
    {.name = "a method nobody knows",
     .request = "BREW / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "501 Not Implemented"},
    {.name = "any method on an any route",
     .request = "BREW /any HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "methods are case-sensitive",
     .request = "get / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "501 Not Implemented"},
    {.name = "CONNECT closes: what follows was meant for the tunnel",
     .request = "CONNECT a:443 HTTP/1.1\r\n"
                "Host: a:443\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "501 Not Implemented | close",
     .has = "Connection: close\r\n"},
    {.name = "a parameter",
     .request = "GET /user/42 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 42"},
    {.name = "a literal wins over a parameter",
     .request = "GET /user/me HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "back from a literal to a parameter",
     .request = "GET /user/me/posts HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 me"},
    {.name = "a parameter is decoded",
     .request = "GET /user/a%20b%2fc HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 a b/c"},
    {.name = "a parameter is not empty",
     .request = "GET /user/ HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found"},
    {.name = "two parameters",
     .request = "GET /two/x%41/y HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 xA,y"},
    {.name = "a wildcard",
     .request = "GET /files/a/b%20c HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 a/b c"},
    {.name = "an empty wildcard",
     .request = "GET /files/ HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200"},
    {.name = "a slash too many",
     .request = "GET /user/7/?a=b HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "308",
     .has = "Location: /user/7?a=b\r\n"},
    {.name = "a slash too few",
     .request = "GET /slash HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "308",
     .has = "Location: /slash/\r\n"},
    {.name = "a slash too few before a wildcard",
     .request = "GET /files HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "308",
     .has = "Location: /files/\r\n"},
    {.name = "no redirect to another host",
     .request = "GET //evil.example/user HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "308",
     .has = "Location: /evil.example/user\r\n"},
    {.name = "nor by a backslash",
     .request = "GET //\\evil.example/user HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "308",
     .has = "Location: /%5Cevil.example/user\r\n"},
    {.name = "another spelling is redirected, whatever the method, with its query",
     .request = "POST /user/./x/%2E%2e/3?a=/../b HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 2\r\n"
                "\r\n"
                "ab"
                "GET http://a//user/3/ HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "308 | 308",
     .has = "Location: /user/3?a=/../b\r\n"},
    {.name = "what leads out of the root is not there",
     .request = "GET /user/../../user/3 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /%2e%2e HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found | 404 Not Found",
     .lacks = "Location"},
    {.name = "names that begin with dots are names",
     .request = "GET /user/... HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /user/.a HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /user/..a HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 ... | 200 .a | 200 ..a"},
    {.name = "a broken escape",
     .request = "GET /user/%zz HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | 200 hello"},
    {.name = "an escaped NUL",
     .request = "GET /user/%00 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request"},
    {.name = "the decoded path",
     .request = "GET /path/%41?x=%41 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 /path/A"},
    {.name = "a query parameter",
     .request = "GET /query?a=1&q=x+y%21&q=2 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 x y!"},
    {.name = "no query parameter",
     .request = "GET /query?qq=1 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 (none)"},
    {.name = "a cookie",
     .request = "GET /cookie HTTP/1.1\r\n"
                "Host: a\r\n"
                "Cookie: b=1; a=\"two\"; c\r\n"
                "\r\n",
     .outcome = "200 two"},
    {.name = "cookies in two lines",
     .request = "GET /cookies HTTP/1.1\r\n"
                "Host: a\r\n"
                "Cookie: a=1; b=2\r\n"
                "X: y\r\n"
                "Cookie: c=3\r\n"
                "\r\n",
     .outcome = "200 a=1;b=2;c=3;"},
    {.name = "no cookie",
     .request = "GET /cookie HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 (none)"},
    {.name = "extra headers",
     .request = "GET /set HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "201 set",
     .has = "Content-Length: 3\r\n"
            "X-One: 1\r\n"
            "Set-Cookie: session=abc; Path=/; SameSite=Lax; HttpOnly\r\n"
            "Content-Type: text/css\r\n"
            "\r\n"},
    {.name = "a large body",
     .request = "GET /big HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 (100000) | 200 hello"},
    {.name = "a file",
     .request = "GET /file HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /file HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 23456 | 200 23456",
     .has = "Content-Type: text/plain\r\n"},
    {.name = "a redirect",
     .request = "GET /redirect HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "302",
     .has = "Location: /user/7\r\n"},
    {.name = "chunked",
     .request = "GET /chunked HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello world | 200 hello",
     .has = "Transfer-Encoding: chunked\r\n"
            "\r\n"
            "6\r\n"
            "hello \r\n"
            "5\r\n"
            "world\r\n"
            "0\r\n"
            "X-Sum: 11\r\n"
            "\r\n",
     .lacks = "Content-Length: 1"},
    {.name = "no chunks for HTTP/1.0",
     .request = "GET /chunked HTTP/1.0\r\n"
                "Host: a\r\n"
                "Connection: keep-alive\r\n"
                "\r\n",
     .outcome = "200 hello world | close",
     .has = "Connection: close\r\n",
     .lacks = "chunked"},
    {.name = "streamed with a length",
     .request = "GET /length HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello world | 200 hello",
     .has = "Content-Length: 11\r\n"},
    {.name = "streamed later",
     .request = "GET /stream-later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 in time | 200 hello"},
    {.name = "a stream of two megabytes",
     .request = "GET /stream HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 (2000000) | 200 hello"},
    {.name = "deferred",
     .request = "GET /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 /later a "},
    {.name = "deferred twice",
     .request = "GET /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 /later a  | 200 /later a "},
    {.name = "deferred with a body",
     .request = "POST /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 4\r\n"
                "\r\n"
                "body",
     .outcome = "200 /later a body"},
    {.name = "a reader that comes later",
     .request = "POST /slow-reader HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 4\r\n"
                "\r\n"
                "slowGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 slow | 200 hello"},
    {.name = "a handler that does nothing",
     .request = "GET /nothing HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "500 Internal Server Error | 200 hello"},
    {.name = "a header with CR LF",
     .request = "GET /crlf HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "500 | 200 hello",
     .lacks = "Set-Cookie"},
    {.name = "a cookie that browsers would drop",
     .request = "GET /set-bad HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "500",
     .lacks = "Set-Cookie"},
    {.name = "a cookie with bytes that none can have",
     .request = "GET /cookie HTTP/1.1\r\n"
                "Host: a\r\n"
                "Cookie: a=b c; a=d,e; a=\"f\"; a=g\r\n"
                "\r\n"
                "GET /cookie HTTP/1.1\r\n"
                "Host: a\r\n"
                "Cookie: a=b\\c\r\n"
                "\r\n",
     .outcome = "200 f | 200 (none)"},
    {.name = "a header that is the server's",
     .request = "GET /own HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "500",
     .lacks = "not seen"},
    {.name = "a second answer is refused",
     .request = "GET /twice HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 once | 200 hello"},
    {.name = "a status out of range",
     .request = "GET /bad-status HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "500",
     .lacks = "not seen"},
    {.name = "a handler's code becomes a status",
     .request = "GET /code/2 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /code/13 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /code/62 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /code/11 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /code/5 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /code/9999 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found | 403 Forbidden | 504 Gateway Timeout | 503 Service Unavailable | "
                "500 Internal Server Error | 500 Internal Server Error"},
    {.name = "a code of what runs behind a body",
     .request = "POST /code/2 HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "abc"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found | 200 hello"},
    {.name = "a code behind the answer changes nothing",
     .request = "GET /code-behind/5 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 answered | 200 hello"},
    {.name = "a code of a handler that took charge",
     .request = "GET /code-taken/2 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found | 200 hello"},
    {.name = "a code in a callback",
     .request = "GET /code-later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "403 Forbidden | 200 hello"},
    {.name = "middleware sees the code of what is behind it",
     .request = "GET /caught/2 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /caught/13 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /caught/0 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 caught | 403 Forbidden | 500 Internal Server Error"},
    {.name = "a code behind middleware that deferred",
     .request = "GET /slow/code/2 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found | 200 hello"},
    {.name = "a failure keeps its detail to itself",
     .request = "GET /fail HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "503 Service Unavailable",
     .lacks = "secret"},
    {.name = "the error handler answers",
     .request = "GET /teapot HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "418 short and stout"},
    {.name = "middleware stops",
     .request = "GET /guarded/x HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "401 Unauthorized",
     .lacks = "X-Guard"},
    {.name = "middleware goes on",
     .request = "GET /guarded/x HTTP/1.1\r\n"
                "Host: a\r\n"
                "Authorization: x\r\n"
                "\r\n",
     .outcome = "200 hello",
     .has = "X-Guard: yes\r\n"},
    {.name = "middleware sees paths without routes",
     .request = "GET /guarded/no HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "401 Unauthorized"},
    {.name = "a prefix ends at a slash",
     .request = "GET /guardedx HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "middleware goes on later",
     .request = "GET /slow/x HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 hello"},
    {.name = "middleware gives charge to a handler that does nothing",
     .request = "GET /slow/nothing HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "500 Internal Server Error | 200 hello"},
    {.name = "a prefix is matched decoded",
     .request = "GET /%67uarded/x HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "401 Unauthorized"},
    {.name = "a body is collected",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 5\r\n"
                "\r\n"
                "hello",
     .outcome = "200 hello"},
    {.name = "an empty body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 0\r\n"
                "\r\n",
     .outcome = "200"},
    {.name = "no length means no body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello"},
    {.name = "a body taken away",
     .request = "POST /take HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 4\r\n"
                "\r\n"
                "mine",
     .outcome = "200 mine"},
    {.name = "a chunked body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "5\r\n"
                "hello\r\n"
                "1\r\n"
                " \r\n"
                "5\r\n"
                "world\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "200 hello world"},
    {.name = "an empty chunked body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello"},
    {.name = "chunk extensions",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "3;a=b;c=\"d\"\r\n"
                "abc\r\n"
                "0;e\r\n"
                "\r\n",
     .outcome = "200 abc"},
    {.name = "a trailer",
     .request = "POST /count HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "3\r\n"
                "abc\r\n"
                "0\r\n"
                "X-Sum: 6\r\n"
                "\r\n",
     .outcome = "200 3 bytes 6"},
    {.name = "a streamed body",
     .request = "POST /count HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 100\r\n"
                "\r\n"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 100 bytes | 200 hello"},
    {.name = "pieces that are held",
     .request = "POST /hold HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 13\r\n"
                "\r\n"
                "held for longGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 held for long | 200 hello"},
    {.name = "chunks that are held",
     .request = "POST /hold HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2\r\n"
                "he\r\n"
                "2\r\n"
                "ld\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 held | 200 hello"},
    {.name = "a reader that pauses",
     .request = "POST /pause HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 10\r\n"
                "\r\n"
                "0123456789GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 10 bytes | 200 hello"},
    {.name = "a reader that pauses between chunks",
     .request = "POST /pause HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "3\r\n"
                "abc\r\n"
                "4\r\n"
                "defg\r\n"
                "1\r\n"
                "h\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 8 bytes | 200 hello"},
    {.name = "a body nobody reads",
     .request = "POST /early HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 6\r\n"
                "\r\n"
                "unreadGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 early | 200 hello",
     .lacks = "Connection"},
    {.name = "chunks nobody reads",
     .request = "POST /early HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2\r\n"
                "un\r\n"
                "4\r\n"
                "read\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 early | 200 hello"},
    {.name = "a body for a route that is not there",
     .request = "POST /no HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 6\r\n"
                "\r\n"
                "unreadGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "404 Not Found | 200 hello"},
    {.name = "a GET with a body",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "abcGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 hello"},
    {.name = "too much to collect",
     .request = "POST /small HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 9\r\n"
                "\r\n"
                "123456789GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "413 Content Too Large | 200 hello"},
    {.name = "too many chunks to collect",
     .request = "POST /small HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "5\r\n"
                "12345\r\n"
                "4\r\n"
                "6789\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "413 Content Too Large | close",
     .has = "Connection: close\r\n"},
    {.name = "just enough to collect",
     .request = "POST /small HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "5\r\n"
                "12345\r\n"
                "3\r\n"
                "678\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 12345678 | 200 hello"},
    {.name = "a content coding is not collected",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "Content-Encoding: gzip\r\n"
                "\r\n"
                "zzzGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "415 Unsupported Media Type | 200 hello",
     .has = "Accept-Encoding: identity\r\n"},
    {.name = "a body larger than any",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 9999999999999\r\n"
                "\r\n",
     .outcome = "413 Content Too Large | close",
     .has = "Connection: close\r\n"},
    {.name = "a body above the limit of collecting",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 2000000\r\n"
                "\r\n",
     .outcome = "413 Content Too Large | close",
     .has = "Connection: close\r\n"},
    {.name = "HTTP/1.0 body without a length",
     .request = "POST /echo HTTP/1.0\r\n"
                "\r\n",
     .outcome = "411 Length Required | close"},
    {.name = "HTTP/1.0 body with a length",
     .request = "POST /echo HTTP/1.0\r\n"
                "Content-Length: 2\r\n"
                "\r\n"
                "hi",
     .outcome = "200 hi | close"},
    {.name = "100-continue when the body is asked for",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue\r\n"
                "Content-Length: 2\r\n"
                "\r\n",
     .outcome = "100"},
    {.name = "100-continue, then the body",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 2\r\n"
                "Expect: 100-continue\r\n"
                "\r\n"
                "hi",
     .outcome = "200 hi"},
    {.name = "no 100 when the body is not wanted",
     .request = "POST /early HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue\r\n"
                "Content-Length: 2\r\n"
                "\r\n",
     .outcome = "200 early | close",
     .has = "Connection: close\r\n"},
    {.name = "no 100 for a body too large",
     .request = "POST /small HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue\r\n"
                "Content-Length: 20\r\n"
                "\r\n",
     .outcome = "413 Content Too Large | close"},
    {.name = "no 100 for HTTP/1.0",
     .request = "POST /echo HTTP/1.0\r\n"
                "Expect: 100-continue\r\n"
                "Content-Length: 2\r\n"
                "\r\n"
                "hi",
     .outcome = "200 hi | close",
     .lacks = "100 Continue"},
    {.name = "an expectation nobody knows",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 2\r\n"
                "Expect: coffee\r\n"
                "\r\n"
                "hi",
     .outcome = "417 Expectation Failed | close"},
    {.name = "bare LF",
     .request = "GET / HTTP/1.1\n"
                "Host: a\n"
                "\n",
     .outcome = "400 Bad Request | close",
     .has = "Connection: close\r\n"},
    {.name = "bare CR in a header",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "X: a\rb\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "no Host",
     .request = "GET / HTTP/1.1\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "two Hosts",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "obs-fold",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                " b\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a space before the colon",
     .request = "GET / HTTP/1.1\r\n"
                "Host : a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "two lengths",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 1\r\n"
                "Content-Length: 2\r\n"
                "\r\n"
                "ab",
     .outcome = "400 Bad Request | close"},
    {.name = "a length and a coding",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 1\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a signed length",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: +1\r\n"
                "\r\n"
                "a",
     .outcome = "400 Bad Request | close"},
    {.name = "an unknown coding",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: gzip, chunked\r\n"
                "\r\n",
     .outcome = "501 Not Implemented | close"},
    {.name = "a bad chunk size",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "zz\r\n",
     .outcome = "400 Bad Request | close",
     .has = "Connection: close\r\n"},
    {.name = "a chunk size that overflows",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "fffffffffffffffff\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a chunk without its CRLF",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "3\r\n"
                "abcX0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a bad chunk behind the answer",
     .request = "POST /early HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "zz\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 early | close"},
    {.name = "HTTP/2.0",
     .request = "GET / HTTP/2.0\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "505 HTTP Version Not Supported | close"},
    {.name = "HTTP/1.2 is answered as 1.1",
     .request = "GET / HTTP/1.2\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello",
     .has = "HTTP/1.1 200 OK"},
    {.name = "no version",
     .request = "GET /\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "not HTTP",
     .request = "\026\003\001\002garbage\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "broken behind a good one",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "BROKEN\r\n"
                "\r\n",
     .outcome = "200 hello | 400 Bad Request | close"},
    {.name = "broken behind a deferred one",
     .request = "GET /later HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "BROKEN\r\n"
                "\r\n",
     .outcome = "200 /later a  | 400 Bad Request | close"},
    {.name = "a target too long",
     .request = "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "414 URI Too Long | close"},
    {.name = "a header too large",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"
                "\r\n",
     .outcome = "431 Request Header Fields Too Large | close"},
    {.name = "too many headers",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "X: y\r\n"
                "\r\n",
     .outcome = "431 Request Header Fields Too Large | close"},
    {.name = "a coding twice",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked, chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a coding in two lines",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a coding behind chunked",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked, identity\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a coding with a parameter",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked;q=1\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a coding behind nothing",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: , chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "no coding where one is said",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding:\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a coding behind a vertical tab",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: \vchunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a coding in capitals",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: CHUNKED\r\n"
                "\r\n"
                "2\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hi | 200 hello"},
    {.name = "a coding in HTTP/1.0",
     .request = "POST /echo HTTP/1.0\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a list of lengths",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 2, 2\r\n"
                "\r\n"
                "hi",
     .outcome = "400 Bad Request | close"},
    {.name = "a length with a space in it",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 2 2\r\n"
                "\r\n"
                "hi",
     .outcome = "400 Bad Request | close"},
    {.name = "a hexadecimal length",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 0x2\r\n"
                "\r\n"
                "hi",
     .outcome = "400 Bad Request | close"},
    {.name = "a length that overflows",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 18446744073709551618\r\n"
                "\r\n"
                "hi",
     .outcome = "400 Bad Request | close"},
    {.name = "an empty length",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length:\r\n"
                "\r\n"
                "hi",
     .outcome = "400 Bad Request | close"},
    {.name = "a length with zeros and spaces around",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length:\t 002 \t\r\n"
                "\r\n"
                "hiGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hi | 200 hello"},
    {.name = "a name like that of the length",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content_Length: 2\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello"},
    {.name = "a request in a body stays there",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 27\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET /user/1 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 1"},
    {.name = "a negative chunk size",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "-1\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a chunk size with 0x",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0x2\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a space behind a chunk size",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2 \r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a space before a chunk size",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                " 2\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a bare CR in a chunk extension",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2;a\rb\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a bare LF in a chunk extension",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2;a\n"
                "b\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "CR LF in a quoted chunk extension",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2;a=\"\r\n"
                "\"\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a chunk size of too many digits",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "00000000000000000000000000000000000000002\r\n"
                "hi\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "chunks that end with LF",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2\n"
                "hi\n"
                "0\n"
                "\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a chunk longer than it says",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2\r\n"
                "hix\r\n"
                "0\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a last chunk of many zeros",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "2\r\n"
                "hi\r\n"
                "0000\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hi | 200 hello"},
    {.name = "a length as a trailer",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "Content-Length: 5\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a trailer with a space in its name",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "bad name: 5\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "too many trailers",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "0\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "T:\r\n"
                "\r\n",
     .outcome = "431 Request Header Fields Too Large | close"},
    {.name = "Connection in two lines",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Connection: keep-alive\r\n"
                "Connection: close\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | close",
     .overruns = true},
    {.name = "close between empty elements",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Connection: ,, close ,\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | close",
     .overruns = true},
    {.name = "an option that begins like close",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Connection: closed\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 hello"},
    {.name = "HTTP/1.0 with both keep-alive and close",
     .request = "GET / HTTP/1.0\r\n"
                "Connection: keep-alive, close\r\n"
                "\r\n",
     .outcome = "200 hello | close"},
    {.name = "nothing is read behind HTTP/1.0",
     .request = "GET / HTTP/1.0\r\n"
                "\r\n"
                "GET / HTTP/1.0\r\n"
                "\r\n",
     .outcome = "200 hello | close",
     .overruns = true},
    {.name = "HTTP/1.10",
     .request = "GET / HTTP/1.10\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "http/1.1",
     .request = "GET / http/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "the preface of HTTP/2",
     .request = "PRI * HTTP/2.0\r\n"
                "\r\n"
                "SM\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "two spaces before the target",
     .request = "GET  / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "tabs in the request line",
     .request = "GET\t/\tHTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a space behind the version",
     .request = "GET / HTTP/1.1 \r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a space before the method",
     .request = " GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "too many empty lines",
     .request = "\r\n"
                "\r\n"
                "\r\n"
                "\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "the Host",
     .request = "GET /host HTTP/1.1\r\n"
                "Host: [::1]:80\r\n"
                "\r\n",
     .outcome = "200 [::1]:80"},
    {.name = "an absolute target's host counts, Host does not",
     .request = "GET http://b:80/host HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 b:80"},
    {.name = "an absolute target needs Host all the same",
     .request = "GET http://b/host HTTP/1.1\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "an absolute target without a host",
     .request = "GET http:///host HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "an absolute target with a user",
     .request = "GET http://u:p@b/host HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "an absolute target of another scheme",
     .request = "GET ftp://b/host HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "an absolute target with a query alone",
     .request = "GET http://b?x=1 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "a target without its slash",
     .request = "GET host HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a target with a fragment",
     .request = "GET /host#a HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a target with a control byte",
     .request = "GET /\001 HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "GET *",
     .request = "GET * HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "OPTIONS * with a body",
     .request = "OPTIONS * HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "abcGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "204 | 200 hello"},
    {.name = "CONNECT with a path",
     .request = "CONNECT /host HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "TRACE with a body",
     .request = "TRACE / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "abcGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "405 Method Not Allowed | 200 hello"},
    {.name = "a list of hosts",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a, b\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a Host with a path",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a/b\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a Host with a user",
     .request = "GET / HTTP/1.1\r\n"
                "Host: u@a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a port out of range",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a:99999\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a port that is no number",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a:b\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "two Hosts in HTTP/1.0",
     .request = "GET / HTTP/1.0\r\n"
                "Host: a\r\n"
                "Host: b\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a header without a name",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                ": x\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a header without a colon",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "foo\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "DEL in a value",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "X: \177\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a name beyond ASCII",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "X\303\251: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "a value beyond ASCII",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "X: \303\251\r\n"
                "\r\n",
     .outcome = "200 hello"},
    {.name = "the first header folded",
     .request = "GET / HTTP/1.1\r\n"
                " Host: a\r\n"
                "\r\n",
     .outcome = "400 Bad Request | close"},
    {.name = "HEAD of another version has no body",
     .request = "HEAD / HTTP/2.0\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "505 | close",
     .heads = 1},
    {.name = "HEAD without Host has no body",
     .request = "HEAD / HTTP/1.1\r\n"
                "\r\n",
     .outcome = "400 | close",
     .heads = 1},
    {.name = "HEAD of a broken path has no body",
     .request = "HEAD /path/%zz HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "400 | 200 hello",
     .heads = 1},
    {.name = "HEAD with a body",
     .request = "HEAD / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Content-Length: 3\r\n"
                "\r\n"
                "abcGET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 | 200 hello",
     .heads = 1},
    {.name = "an expectation twice",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue\r\n"
                "Expect: 100-continue\r\n"
                "Content-Length: 2\r\n"
                "\r\n"
                "hi",
     .outcome = "200 hi"},
    {.name = "an expectation with another",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue, x\r\n"
                "Content-Length: 2\r\n"
                "\r\n"
                "hi",
     .outcome = "417 Expectation Failed | close"},
    {.name = "an expectation without a body",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 hello"},
    {.name = "broken between good ones",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "BAD\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 400 Bad Request | close"},
    {.name = "a method nobody knows between good ones",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "BREW / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 501 Not Implemented | 200 hello"},
    {.name = "the client half-closes behind three",
     .request = "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "200 hello | 200 hello | 200 hello | close",
     .ends = true},
    {.name = "the client half-closes behind an empty line",
     .request = "\r\n",
     .outcome = "close",
     .ends = true},
    {.name = "the client half-closes in a chunk",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Transfer-Encoding: chunked\r\n"
                "\r\n"
                "5\r\n"
                "ab",
     .outcome = "400 Bad Request | close",
     .ends = true},
    {.name = "the client half-closes where 100 was awaited",
     .request = "POST /echo HTTP/1.1\r\n"
                "Host: a\r\n"
                "Expect: 100-continue\r\n"
                "Content-Length: 2\r\n"
                "\r\n",
     .outcome = "100 | 400 Bad Request | close",
     .ends = true},
    {.name = "no upgrade asked for",
     .request = "GET /upgrade HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n"
                "GET / HTTP/1.1\r\n"
                "Host: a\r\n"
                "\r\n",
     .outcome = "426 Upgrade Required | 200 hello",
     .has = "Connection: upgrade\r\n"
            "X-Extra: 1\r\n"
            "Upgrade: echo\r\n"},
};

const unsigned conversation_count = sizeof(conversations) / sizeof(conversations[0]);
