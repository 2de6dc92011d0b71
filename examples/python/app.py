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
