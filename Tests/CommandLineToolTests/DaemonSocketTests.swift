import Foundation
import Testing

@testable import CommandLineTool

@Suite(.timeLimit(.minutes(60))) struct DaemonSocketTests {
    private static func answer(_ text: String, isWhole: Bool = false) throws -> DaemonSocket.Answer? {
        try DaemonSocket.answer(in: Data(text.utf8), isWhole: isWhole)
    }

    @Test func `an answer is read once all of it is there, and no further`() throws {
        let text = "HTTP/1.1 200 OK\r\nServer: kiln\r\ncontent-length: 4\r\n\r\nbody"
        for count in 0..<text.utf8.count {
            #expect(try DaemonSocket.answer(in: Data(text.utf8.prefix(count)), isWhole: false) == nil)
        }
        let whole = DaemonSocket.Answer(status: 200, body: Data("body".utf8))
        #expect(try Self.answer(text) == whole)
        #expect(try Self.answer(text + "more") == whole)
    }

    @Test func `an answer without a length ends with the connection`() throws {
        let text = "HTTP/1.1 500 Internal Server Error\r\n\r\nwords"
        #expect(try Self.answer(text) == nil)
        let whole = DaemonSocket.Answer(status: 500, body: Data("words".utf8))
        #expect(try Self.answer(text, isWhole: true) == whole)
    }

    @Test(arguments: [
        "SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 many\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", String(repeating: "x", count: 70_000),
    ])
    func `what is no answer of a daemon is refused`(_ text: String) {
        #expect(throws: DaemonSocket.Fault.self) { try Self.answer(text) }
    }

    @Test func `a body is announced with its length, and nothing else has one`() {
        let post = String(
            decoding: DaemonSocket.request("POST", "/v1/x", body: Data("{}".utf8)), as: UTF8.self)
        #expect(post.hasPrefix("POST /v1/x HTTP/1.1\r\nHost: kiln\r\nConnection: close\r\n"))
        #expect(post.hasSuffix("Content-Length: 2\r\n\r\n{}"))
        let get = String(decoding: DaemonSocket.request("GET", "/v1/x", body: nil), as: UTF8.self)
        #expect(get.hasSuffix("Connection: close\r\n\r\n"))
    }

    @Test(arguments: [NSTemporaryDirectory() + "/kiln-no-socket", "/" + String(repeating: "x", count: 200)])
    func `where nobody listens, that is said at once`(_ path: String) async {
        await #expect(throws: DaemonSocket.Fault.self) {
            try await DaemonSocket(path: path, patience: 1).exchange("GET", "/", body: nil)
        }
    }

    @Test func `verbs that only ask are read alone, and wrong ones told in the words of the whole program`()
        async
    {
        let adapters = Adapters(
            openStore: { _ in throw CancellationError() }, imagesInUse: { _ in [] },
            openLedger: { _, _ in throw CancellationError() }, serve: { _ in },
            examineHost: { [] })
        let nowhere = ["--root", NSTemporaryDirectory() + "/kiln-no-root"]
        #expect(await KilnCommand.run(["status"] + nowhere, with: adapters) == 3)
        #expect(await KilnCommand.run(["scale", "hello", "3"] + nowhere, with: adapters) == 3)
        #expect(await KilnCommand.run(["scale", "hello", "many"], with: adapters) == 2)
        #expect(await KilnCommand.run(["scale", "--help"], with: adapters) == 0)
    }
}
