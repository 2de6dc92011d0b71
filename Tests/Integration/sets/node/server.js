const crypto = require("crypto");
const http = require("http");

const server = http.createServer((request, response) => {
    const digest = crypto.createHash("sha256").update("kiln").digest("hex");
    response.end(request.url === "/health" ? "ok\n" : `six times seven is ${6 * 7}, ${digest}\n`);
});
server.listen(8080, "0.0.0.0");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
