import NIOCore
import NIOHTTP1
import NIOPosix

/// A small real HTTP server on a port of its own.
final class WebServer: Sendable {
    struct Asked: Sendable {
        var method: String
        var uri: String
        var headers: HTTPHeaders
        var body: [UInt8]
    }

    struct Answer: Sendable {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
        /// How much of the body is sent before the connection is cut; nil for all of it.
        var sent: Int?
        /// The connection is cut before anything is sent.
        var isSilent = false

        init(_ status: Int, _ headers: [String: String] = [:], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    private let channel: any Channel
    let address: String

    init(_ answer: @escaping @Sendable (Asked) -> Answer) async throws {
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(answer))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        address = "127.0.0.1:\(channel.localAddress!.port!)"
    }

    deinit { channel.close(promise: nil) }
}

private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let answer: @Sendable (WebServer.Asked) -> WebServer.Answer
    private var asked: WebServer.Asked?

    init(_ answer: @escaping @Sendable (WebServer.Asked) -> WebServer.Answer) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            asked = WebServer.Asked(
                method: head.method.rawValue, uri: head.uri, headers: head.headers, body: [])
        case .body(let part): asked?.body += Array(part.readableBytesView)
        case .end: if let asked { respond(answer(asked), isHead: asked.method == "HEAD", context) }
        }
    }

    private func respond(_ answer: WebServer.Answer, isHead: Bool, _ context: ChannelHandlerContext) {
        if answer.isSilent { return context.close(promise: nil) }
        var headers = HTTPHeaders(answer.headers.map { ($0.key, $0.value) })
        if answer.status != 204 {
            headers.replaceOrAdd(name: "content-length", value: "\(answer.body.count)")
        }
        let head = HTTPResponseHead(
            version: .http1_1, status: HTTPResponseStatus(statusCode: answer.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead, !answer.body.isEmpty {
            let bytes = answer.body.prefix(answer.sent ?? answer.body.count)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        }
        if answer.sent != nil, !isHead {
            context.flush()
            return context.close(promise: nil)
        }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
