internal import Execution
internal import Hummingbird
internal import Model
internal import Ports
internal import WireAPI

/// How people get into instances. Whom the host's policy names may use these, and nothing else of the API.
enum BreakGlassRoutes {
    private static let names: Set<Substring> = ["sessions", "hold"]

    /// Whether a request goes to one of these, by exactly the words that the routes below have.
    @Sendable static func contain(_ request: Request) -> Bool {
        let parts = request.uri.path.split(separator: "/")
        return parts.count == 4 && parts[0] == "v1" && parts[1] == "instances" && names.contains(parts[3])
    }

    static func add(to router: Router<PeerContext>, _ breakGlass: BreakGlass) {
        router.post("v1/instances/:id/sessions") { request, context in
            let user = try await context.callerID()
            // Before anything of the request is read.
            try breakGlass.require(user)
            let order = try await Coding.body(OpenSessionRequest.self, of: request)
            let (session, place) = try await breakGlass.open(
                BreakGlass.Order(
                    kind: order.kind, instance: try instance(context), command: order.command,
                    reason: order.reason, span: order.span ?? Session.Limit.usual,
                    isInTraffic: order.isInTraffic, terminal: order.terminal, image: order.image), by: user)
            return try Coding.answer(
                SessionAnswer(session: session, socket: place.socket, recording: place.recording))
        }
        router.post("v1/instances/:id/hold") { request, context in
            let user = try await context.callerID()
            try breakGlass.require(user)
            let order = try await Coding.body(HoldRequest.self, of: request)
            let id = try instance(context)
            let until = try await breakGlass.hold(
                id, reason: order.reason, span: order.span ?? Session.Limit.usualHold, by: user)
            return try Coding.answer(HoldAnswer(instance: id, until: until))
        }
        router.delete("v1/instances/:id/hold") { _, context in
            let user = try await context.callerID()
            let id = try instance(context)
            try await breakGlass.endHold(id, by: user)
            return try Coding.answer(HoldAnswer(instance: id, until: nil))
        }
    }

    private static func instance(_ context: PeerContext) throws -> InstanceID {
        try InstanceID(try context.parameters.require("id"))
    }
}
