internal import NIOCore
package import NIOHTTP1
import NIOPosix

/// A small real HTTP server on a port of its own.
package final class WebServer: Sendable {
    package struct Asked: Sendable {
        package var method: String
        package var uri: String
        package var headers: HTTPHeaders
        package var body: [UInt8]

        package init(method: String, uri: String, headers: HTTPHeaders, body: [UInt8]) {
            (self.method, self.uri, self.headers, self.body) = (method, uri, headers, body)
        }
    }

    package struct Answer: Sendable {
        package var status: Int
        package var headers: [String: String]
        package var body: [UInt8]
        /// How much of the body is sent before the connection is cut; nil for all of it.
        package var sent: Int?
        /// After that much of the body nothing comes any more, and the connection stays.
        package var stalled: Int?
        /// The connection is cut before anything is sent.
        package var isSilent = false

        package init(_ status: Int, _ headers: [String: String] = [:], body: [UInt8] = []) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    private let channel: any Channel
    package let address: String

    package init(_ answer: @escaping @Sendable (Asked) -> Answer) async throws {
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
            let bytes = answer.body.prefix(answer.sent ?? answer.stalled ?? answer.body.count)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: bytes)))), promise: nil)
        }
        if answer.sent != nil, !isHead {
            context.flush()
            return context.close(promise: nil)
        }
        if answer.stalled != nil, !isHead { return context.flush() }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
