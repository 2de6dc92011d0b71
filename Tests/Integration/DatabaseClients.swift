import Foundation
import Model

/// As much of PostgreSQL's protocol (version 3.0) as asks one question and takes one value.
struct PostgreSQLClient {
    private let wire: Wire

    /// Signs in where no password is asked for.
    init(port: Int, user: String) throws {
        wire = try Wire(port: port)
        let body = UInt32(3 << 16).bigEndianBytes + Array("user\0\(user)\0\0".utf8)
        try wire.write(UInt32(body.count + 4).bigEndianBytes + body)
        try untilReady { _, _ in }
    }

    /// The first column of the last row of the answer.
    func value(of query: String) throws -> String? {
        let body = Array("\(query)\0".utf8)
        try wire.write([UInt8(ascii: "Q")] + UInt32(body.count + 4).bigEndianBytes + body)
        var value: String?
        try untilReady { type, body in
            guard type == UInt8(ascii: "D"), body.count > 6 else { return }
            let length = Int(UInt32(bigEndian: body[2..<6]))
            value = String(decoding: body.dropFirst(6).prefix(length), as: UTF8.self)
        }
        return value
    }

    private enum Limit {
        /// Messages of one answer.
        static let messages = 1000
    }

    /// Takes messages up to ReadyForQuery.
    private func untilReady(_ take: (_ type: UInt8, _ body: [UInt8]) -> Void) throws {
        for _ in 1...Limit.messages {
            let head = try wire.readWhole(5)
            let body = try wire.readWhole(Int(UInt32(bigEndian: head[1...])) - 4)
            if head[0] == UInt8(ascii: "Z") { return }
            if head[0] == UInt8(ascii: "E") {
                throw Failure(.commandFailed, String(decoding: body.map { $0 == 0 ? 32 : $0 }, as: UTF8.self))
            }
            take(head[0], body)
        }
        throw Failure(.commandFailed, "the answer does not end")
    }
}

/// As much of MariaDB's protocol (version 10, 4.1 and later) as asks one question and takes one value.
struct MariaDBClient {
    private let wire: Wire

    private enum Capability {
        static let protocol41: UInt32 = 0x200
        static let secureConnection: UInt32 = 0x8000
    }

    /// Signs in where there is no password.
    init(port: Int, user: String) throws {
        wire = try Wire(port: port)
        let greeting = try packet()
        guard greeting.first == 10 else { throw Failure(.commandFailed, "no greeting: \(greeting)") }
        let capabilities = Capability.protocol41 | Capability.secureConnection
        // Capabilities, the largest packet, utf8mb3, 23 unused bytes, the name, and a password of no bytes.
        let answer =
            capabilities.littleEndianBytes + UInt32(1 << 24).littleEndianBytes + [33]
            + [UInt8](repeating: 0, count: 23) + Array("\(user)\0".utf8) + [0]
        try send(answer, number: 1)
        _ = try packet()
    }

    /// The first column of the first row of the answer.
    func value(of query: String) throws -> String? {
        try send([3] + Array(query.utf8), number: 0)
        let columns = Int(try packet().first ?? 0)
        for _ in 0..<columns { _ = try packet() }
        // The end of the columns, then the first row: a length and a text.
        _ = try packet()
        let row = try packet()
        return row.first.map { String(decoding: row.dropFirst().prefix(Int($0)), as: UTF8.self) }
    }

    private func send(_ body: [UInt8], number: UInt8) throws {
        try wire.write(Array(UInt32(body.count).littleEndianBytes.prefix(3)) + [number] + body)
    }

    /// The next packet; an error of the server is thrown.
    private func packet() throws -> [UInt8] {
        let head = try wire.readWhole(4)
        let body = try wire.readWhole(Int(UInt32(littleEndian: head[..<3])))
        if body.first == 0xff {
            throw Failure(.commandFailed, String(decoding: body.dropFirst(3), as: UTF8.self))
        }
        return body
    }
}
