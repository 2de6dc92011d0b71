package import Execution
internal import Foundation
internal import HTTPTypes
package import Hummingbird
internal import Model
internal import WireAPI

/// Version 1 of the HTTP API: thin, every decision is the controller's.
package enum APIRoutes {
    /// How long an events request may wait for news, and how often it looks meanwhile.
    static let longestWait = Span.seconds(20)
    static let lookEvery = Span.milliseconds(40)
    static let eventsPerAnswer = 500
    /// How far back the ends of rollouts are looked for: about as far as events are kept.
    static let eventsInHistory = 10_000
    static let mostLogLines = 10_000

    /// - Parameter breakGlass: nil where nobody gets into instances
    package static func router(
        _ controller: Controller, breakGlass: BreakGlass? = nil
    ) -> Router<PeerContext> {
        let router = Router(context: PeerContext.self)
        router.add(middleware: Gatekeeper(isOpen: BreakGlassRoutes.contain))
        addReading(to: router, controller)
        addChanging(to: router, controller)
        DriftRoutes.add(to: router, controller)
        CompareRoutes.add(to: router, controller)
        if let breakGlass { BreakGlassRoutes.add(to: router, breakGlass) }
        return router
    }

    private static func addReading(to router: Router<PeerContext>, _ controller: Controller) {
        router.get("v1/status") { _, _ in
            try Coding.answer(StatusAnswer(services: try await controller.snapshots().map(\.status)))
        }
        router.get("v1/services/:key") { _, context in
            try Coding.answer(try await controller.snapshot(of: key(context)).status)
        }
        router.get("v1/services/:key/history") { _, context in
            let key = try key(context)
            return try Coding.answer(try await history(controller, key))
        }
        router.get("v1/services/:key/rollout") { _, context in
            let key = try key(context)
            return try Coding.answer(try await rolloutStatus(controller, key))
        }
        router.get("v1/services/:key/events") { request, context in
            let key = try key(context)
            let after = request.uri.queryParameters["after"].flatMap { Int($0) } ?? 0
            let wait = request.uri.queryParameters["wait"].flatMap { Span(String($0)) } ?? .zero
            return try Coding.answer(EventsAnswer(events: try await events(controller, key, after, wait)))
        }
        router.get("v1/instances/:id/confinement") { _, context in
            let id = try InstanceID(try context.parameters.require("id"))
            return try Coding.answer(
                ConfinementAnswer(confinement: try await controller.confinement(of: id)))
        }
        router.get("v1/instances/:id/log") { request, context in
            let id = try InstanceID(try context.parameters.require("id"))
            let lines = request.uri.queryParameters["lines"].flatMap { Int($0) } ?? 100
            let log = try await controller.log(of: id, lines: min(max(1, lines), mostLogLines))
            return try Coding.answer(
                LogAnswer(lines: log))
        }
    }

    private static func addChanging(to router: Router<PeerContext>, _ controller: Controller) {
        router.post("v1/services/:key/deploy") { request, context in
            let key = try key(context)
            let order = try await Coding.body(DeployRequest.self, of: request)
            let last = try await controller.events(of: key, after: 0, limit: 1).last?.number ?? 0
            let outcome = try await controller.deploy(
                order.content, as: key, message: order.message, commit: order.commit, tags: order.tags,
                by: try await context.operatorName(), force: order.force, queue: order.queue ?? false)
            return try Coding.answer(outcome.answer(eventsAfter: last))
        }
        router.post("v1/services/:key/plan") { request, context in
            let order = try await Coding.body(DeployRequest.self, of: request)
            return try Coding.answer(try await controller.preview(order.content, as: key(context)).answer)
        }
        router.post("v1/services/:key/rollback") { request, context in
            let key = try key(context)
            let order = try await Coding.body(RollbackRequest.self, of: request)
            let last = try await controller.events(of: key, after: 0, limit: 1).last?.number ?? 0
            let rollout = try await controller.rollBack(
                key, to: order.to, by: try await context.operatorName(), saying: order.message)
            return try Coding.answer(RolloutAnswer(rollout: rollout, eventsAfter: last))
        }
        for control in RolloutControl.allCases {
            router.post("v1/services/:key/rollout/\(control.rawValue)") { request, context in
                let key = try key(context)
                let order = try await Coding.body(RolloutControlRequest.self, of: request)
                let last = try await controller.events(of: key, after: 0, limit: 1).last?.number ?? 0
                let rollout = try await tell(
                    controller, key, control, order, by: try await context.operatorName())
                return try Coding.answer(RolloutAnswer(rollout: rollout, eventsAfter: last))
            }
        }
        router.post("v1/services/:key/scale") { request, context in
            let key = try key(context)
            let order = try await Coding.body(ScaleRequest.self, of: request)
            try await controller.scale(
                key, to: order.replicas, by: try await context.operatorName(), saying: order.message)
            return try Coding.answer(try await controller.snapshot(of: key).status)
        }
        router.post("v1/services/:key/repave") { request, context in
            let key = try key(context)
            let order = try await Coding.bodyIfAny(PlainRequest.self, of: request)
            try await controller.repave(key, by: try await context.operatorName(), saying: order?.message)
            return try Coding.answer(try await controller.snapshot(of: key).status)
        }
        router.delete("v1/services/:key") { request, context in
            let key = try key(context)
            let order = try await Coding.bodyIfAny(PlainRequest.self, of: request)
            try await controller.retire(key, by: try await context.operatorName(), saying: order?.message)
            return try Coding.answer(try await controller.snapshot(of: key).status)
        }
    }

    private static func tell(
        _ controller: Controller, _ key: ServiceKey, _ control: RolloutControl,
        _ order: RolloutControlRequest,
        by operatorName: String
    ) async throws -> Rollout {
        switch control {
        case .pause: try await controller.pause(key, by: operatorName, saying: order.message)
        case .resume: try await controller.resume(key, by: operatorName, saying: order.message)
        case .promote: try await controller.promote(key, by: operatorName, saying: order.message)
        case .abort: try await controller.abort(key, by: operatorName, saying: order.message)
        case .approve:
            try await controller.approve(
                key, gate: order.gate, envelope: try order.envelope(), by: operatorName, saying: order.message
            )
        }
    }

    private static func rolloutStatus(
        _ controller: Controller, _ key: ServiceKey
    ) async throws -> RolloutStatus {
        guard let status = try await controller.snapshot(of: key).rolloutStatus() else {
            throw Failure(
                .notFound, "\(key) has had no rollout", suggestion: "`kiln deploy` begins the first one")
        }
        return status
    }

    private static func history(_ controller: Controller, _ key: ServiceKey) async throws -> HistoryAnswer {
        let snapshot = try await controller.snapshot(of: key)
        let events = try await controller.events(of: key, after: 0, limit: eventsInHistory)
        return HistoryAnswer(
            releases: snapshot.releases.values.sorted { $0.number < $1.number },
            current: snapshot.state.current, good: snapshot.state.good,
            events: events.suffix(eventsPerAnswer), ends: events.compactMap { RolloutRecord($0) })
    }

    private static func key(_ context: PeerContext) throws -> ServiceKey {
        let text = try context.parameters.require("key")
        return try ServiceKey(parsing: text.removingPercentEncoding ?? text)
    }

    /// Answers as soon as there is news, or with nothing after `wait`.
    private static func events(
        _ controller: Controller, _ key: ServiceKey, _ after: Int, _ wait: Span
    ) async throws -> [Event] {
        let looks = max(1, min(wait, longestWait).milliseconds / lookEvery.milliseconds)
        for look in 1...looks {
            let events = try await controller.events(of: key, after: after, limit: eventsPerAnswer)
            if !events.isEmpty || look == looks { return events }
            try await Task.sleep(for: lookEvery.duration)
        }
        return []
    }
}

extension RolloutControlRequest {
    /// The bytes of a signed approval; nil where none came.
    fileprivate func envelope() throws -> [UInt8]? {
        guard let approval else { return nil }
        guard let data = Data(base64Encoded: approval) else {
            throw Failure(
                .invalidArgument, "the approval is no base64",
                suggestion: "send the bytes of its envelope in base64")
        }
        return [UInt8](data)
    }
}
