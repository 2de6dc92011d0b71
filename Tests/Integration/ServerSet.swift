import Foundation
import Model
import TestKit

/// A server as people put one together: a folder of `sets/` with its spec and its settings, and a question whose
/// answer only a server gives that really works.
struct ServerSet: Sendable {
    /// Its folder and its service.
    var name: String
    /// Whether every run of the tests starts it; the others wait for `make packages`.
    var isQuick = false
    /// What has to be in its folder beside what is kept there.
    var prepare: @Sendable (_ site: Site, _ folder: String) throws -> Void = { _, _ in }
    var answer: String
    /// Asks at a port of this host.
    var ask: @Sendable (_ port: Int) throws -> String?

    static let all: [ServerSet] = [
        ServerSet(name: "postgresql", isQuick: true, answer: "42") {
            try PostgreSQLClient(port: $0, user: "postgres").value(of: "SELECT 6 * 7")
        },
        ServerSet(name: "mariadb", answer: "42") {
            try MariaDBClient(port: $0, user: "visitor").value(of: "SELECT 6 * 7")
        },
        ServerSet(name: "redis", isQuick: true, answer: "+OK\r\n$2\r\n42\r\n") {
            try say("SET answer 42\r\nGET answer\r\n", to: $0, hear: 13)
        },
        ServerSet(name: "memcached", answer: "STORED\r\nVALUE answer 0 2\r\n42\r\nEND\r\n") {
            try say("set answer 0 0 2\r\n42\r\nget answer\r\n", to: $0, hear: 35)
        },
        ServerSet(name: "rabbitmq", answer: "RabbitMQ", ask: greetingOfAMQP),
        ServerSet(name: "tomcat", isQuick: true, answer: "six times seven is 42 in Apache Tomcat/10") {
            page("/shop/", $0)
        },
        ServerSet(name: "php", isQuick: true, answer: #"six times seven is 42, {"php":8}, opcache loaded"#) {
            page("/", $0)
        },
        ServerSet(name: "gunicorn", answer: "six times seven is 42, trusting some authorities") {
            page("/", $0)
        },
        ServerSet(name: "node", answer: "six times seven is 42, cdfe9ad58b46226d") { page("/", $0) },
        ServerSet(name: "ruby", answer: #"{"six times seven":42}"#) { page("/", $0) },
        ServerSet(
            name: "go", prepare: GoToolchain.build,
            answer: "six times seven is 42, trusting authorities: true"
        ) { page("/", $0) },
        ServerSet(name: "haproxy", answer: "path /a/b, from behind") { page("/A/b", $0) },
        ServerSet(name: "prometheus", answer: #""1"]"#) { port in
            // It has to have looked at itself once.
            let query = "/api/v1/query?query=up"
            try eventually("Prometheus sees itself") { page(query, port).contains(#""1"]"#) }
            return page(query, port)
        },
        ServerSet(name: "dashboard", answer: #"application/json|{"title": "Requests""#) {
            let path = "/dashboards/home.json"
            return page(path, $0, options: "-o /dev/null -w '%{content_type}|'") + page(path, $0)
        },
    ]

    private static func page(_ path: String, _ port: Int, options: String = "") -> String {
        shell("curl -s --max-time 60 \(options) 'http://127.0.0.1:\(port)\(path)'").output
    }

    /// Sends a text, and takes as many bytes as the answer should have.
    private static func say(_ text: String, to port: Int, hear count: Int) throws -> String {
        let wire = try Wire(port: port)
        try wire.write(Array(text.utf8))
        return String(decoding: try wire.read(count), as: UTF8.self)
    }

    /// The product that an AMQP 0-9-1 server names in Connection.Start.
    @Sendable private static func greetingOfAMQP(_ port: Int) throws -> String? {
        let wire = try Wire(port: port)
        try wire.write(Array("AMQP".utf8) + [0, 0, 9, 1])
        let head = try wire.readWhole(7)
        let body = try wire.readWhole(Int(UInt32(bigEndian: head[3...])))
        // A method frame of channel 0; class 10 is Connection, its method 10 is Start.
        guard head[..<3] == [1, 0, 0], body.prefix(4) == [0, 10, 0, 10] else { return nil }
        return String(decoding: body, as: UTF8.self)
            .firstMatch(of: #/product.{5}(RabbitMQ)/#).map { String($0.1) }
    }
}

/// Go as Debian has it, in an image: a program is built there without a compiler on this host.
enum GoToolchain {
    /// Builds `main.go` of the folder into `shop` beside it.
    @Sendable static func build(_ site: Site, _ folder: String) throws {
        let work = site.folder + "/toolchain"
        try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
        let spec = """
            kiln: 1
            service: toolchain
            image: {distribution: debian/bookworm, packages: [golang-go], command: [go, version]}
            run: {port: 8080, health: {tcp: true}}
            """
        try spec.write(toFile: work + "/kiln.yaml", atomically: true, encoding: .utf8)
        let baked = try KilnProgram.run(["bake", "--root", site.root, "--file", work + "/kiln.yaml"])
        guard baked.status == 0 else { throw Failure(.commandFailed, baked.errors) }
        let root = try site.unpack("toolchain", into: work)
        let built = shell(
            """
            cp '\(folder)/main.go' '\(root)/srv/main.go' && mknod '\(root)/dev/null' c 1 3 && \
            env -i PATH=/usr/sbin:/usr/bin HOME=/tmp GOROOT=/usr/lib/go GO111MODULE=off CGO_ENABLED=0 \
            chroot '\(root)' go build -o /srv/shop /srv/main.go && cp '\(root)/srv/shop' '\(folder)/shop'
            """)
        guard built.status == 0 else { throw Failure(.commandFailed, built.output) }
        shell("rm -rf '\(work)'")
    }
}
