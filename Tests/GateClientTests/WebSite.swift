import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A small real HTTP server on a port of its own, which answers as it is told and remembers what it was
/// asked.
final class WebSite: Sendable {
    struct Asked: Sendable {
        var method: String
        var uri: String
        var headers: HTTPHeaders
        var body: String
    }

    enum Answer: Sendable {
        case text(Int, String, headers: [String: String] = [:])
        /// A body that never ends.
        case endless
        /// Nothing at all.
        case silence
        /// Half of what was promised, and then no connection.
        case half
        /// Half of what was promised, and then nothing.
        case stall
    }

    private let channel: any Channel
    private let log = Log()
    let address: String

    var asked: [Asked] { log.entries.withLock { $0 } }
    var url: String { "http://\(address)" }

    init(_ answer: @escaping @Sendable (Asked) -> Answer) async throws {
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [log] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(
                        Handler { asked in
                            log.entries.withLock { $0.append(asked) }
                            return answer(asked)
                        })
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        address = "127.0.0.1:\(channel.localAddress!.port!)"
    }

    convenience init(_ answer: Answer) async throws { try await self.init { _ in answer } }

    deinit { channel.close(promise: nil) }

    private final class Log: Sendable {
        let entries = Mutex<[Asked]>([])
    }

    func close() async throws { try await channel.close() }
}

private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (WebSite.Asked) -> WebSite.Answer
    private var asked: WebSite.Asked?

    init(_ answer: @escaping @Sendable (WebSite.Asked) -> WebSite.Answer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            asked = WebSite.Asked(
                method: head.method.rawValue, uri: head.uri, headers: head.headers, body: "")
        case .body(let part): asked?.body += String(buffer: part)
        case .end: asked.map { respond(answer($0), context) }
        }
    }

    private func respond(_ answer: WebSite.Answer, _ context: ChannelHandlerContext) {
        switch answer {
        case .silence: break
        case .text(let status, let body, let headers):
            send(status, headers.merging(["content-length": "\(body.utf8.count)"]) { $1 }, context)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        case .half, .stall:
            send(200, ["content-length": "100"], context)
            context.writeAndFlush(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: "half")))), promise: nil)
            if case .half = answer { context.close(promise: nil) }
        case .endless:
            send(200, [:], context)
            flood(context)
        }
    }

    private func send(_ status: Int, _ headers: [String: String], _ context: ChannelHandlerContext) {
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: status),
            headers: HTTPHeaders(headers.map { ($0.key, $0.value) }))
        context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
    }

    private func flood(_ context: ChannelHandlerContext) {
        let part = ByteBuffer(repeating: UInt8(ascii: "x"), count: 64 << 10)
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        let myself = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(part)))).whenSuccess {
            if bound.value.channel.isActive { myself.value.flood(bound.value) }
        }
    }
}
