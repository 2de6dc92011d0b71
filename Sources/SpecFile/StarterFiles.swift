/// The files that the starters put beside kiln.yaml. They are those of `examples/`, byte for byte; a test
/// compares.
enum StarterFiles {
    static let nginx = #"""
        # Runs as a plain user on a read-only root: all that it writes goes to /tmp, which is memory.
        worker_processes 1;
        pid /tmp/nginx.pid;
        error_log stderr warn;

        events {
            worker_connections 1024;
        }

        http {
            include /etc/nginx/mime.types;
            default_type application/octet-stream;

            # The proxy in front counts requests; a log here would only cost time.
            access_log off;
            server_tokens off;
            sendfile on;
            tcp_nopush on;

            # Longer than the proxy keeps an idle connection, so that the proxy is the one to close it.
            keepalive_timeout 75s;
            keepalive_requests 100000;

            client_body_temp_path /tmp/body;
            proxy_temp_path /tmp/proxy;
            fastcgi_temp_path /tmp/fastcgi;
            uwsgi_temp_path /tmp/uwsgi;
            scgi_temp_path /tmp/scgi;

            server {
                listen 8080;
                root /srv/www;
                index index.html;

                location / {
                    try_files $uri $uri/ =404;
                }
            }
        }

        """#

    static let redis = #"""
        # Reached only through the proxy, on the instance's own network.
        bind 0.0.0.0
        port 6379
        protected-mode no

        # Runs in the foreground and logs to its standard output, where it is kept.
        daemonize no
        logfile ""

        # A cache: nothing is saved, and the oldest entries make room.
        dir /var/lib/redis
        save ""
        appendonly no
        maxmemory 128mb
        maxmemory-policy allkeys-lru

        """#

    static let page = #"""
        <!doctype html>
        <html lang="en">
        <head>
          <meta charset="utf-8">
          <meta name="viewport" content="width=device-width, initial-scale=1">
          <title>It works</title>
        </head>
        <body>
          <h1>It works</h1>
          <p>This page is part of an image that nothing changes. Edit site/index.html and deploy again.</p>
        </body>
        </html>

        """#

    static let application = #"""
        """A small web application that ends without cutting off a request."""

        import json
        import os
        import signal
        import threading
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

        GREETING = os.environ.get("GREETING", "Hello")
        PORT = int(os.environ.get("PORT", "8080"))

        stopping = threading.Event()


        class Handler(BaseHTTPRequestHandler):
            # Connections stay open between requests, as the proxy likes them.
            protocol_version = "HTTP/1.1"
            # Seconds that an idle connection may keep its thread, and with it the end of the program, waiting.
            timeout = 5

            def do_GET(self):
                if self.path == "/health":
                    self.answer(200, {"status": "ok"})
                elif self.path == "/":
                    self.answer(200, {"greeting": GREETING, "instance": os.uname().nodename})
                else:
                    self.answer(404, {"error": "not found"})

            def answer(self, status, value):
                body = json.dumps(value).encode() + b"\n"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if stopping.is_set():
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(body)

            def log_request(self, code="-", size="-"):
                # Probes come every second and would fill the log.
                if self.path != "/health":
                    super().log_request(code, size)


        class Server(ThreadingHTTPServer):
            # The end of the program waits for the threads that still answer.
            daemon_threads = False
            request_queue_size = 128


        def main():
            server = Server(("0.0.0.0", PORT), Handler)

            def stop(number, frame):
                stopping.set()
                # shutdown() waits for serve_forever(), which this handler interrupts: so from a thread of its own.
                threading.Thread(target=server.shutdown).start()

            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            print(f"listening on port {PORT}", flush=True)
            server.serve_forever(poll_interval=0.1)
            server.server_close()
            print("every request is answered; good-bye", flush=True)


        if __name__ == "__main__":
            main()

        """#
}
