internal import Logging
package import Model
package import Ports

/// How people get into instances: asked whether they may, in the ledger before anything happens, and with the instance
/// replaced afterwards.
package actor BreakGlass {
    /// What a person asks for.
    package struct Order: Sendable {
        package var kind: Session.Kind
        package var instance: InstanceID
        package var command: [String]
        package var reason: String
        package var span: Span
        package var isInTraffic: Bool
        package var terminal: Session.Terminal?
        package var image: Digest?

        package init(
            kind: Session.Kind, instance: InstanceID, command: [String], reason: String, span: Span,
            isInTraffic: Bool, terminal: Session.Terminal?, image: Digest?
        ) {
            self.kind = kind
            self.instance = instance
            self.command = command
            self.reason = reason
            self.span = span
            self.isInTraffic = isInTraffic
            self.terminal = terminal
            self.image = image
        }
    }

    /// Who may, as the host's file says it.
    package struct Stated: Sendable {
        package var rule: BreakGlassRule
        /// Why the file as it is now cannot be used; what was read last goes on.
        package var problem: Failure?

        package init(_ rule: BreakGlassRule, problem: Failure? = nil) {
            self.rule = rule
            self.problem = problem
        }
    }

    private enum Limit {
        /// Between two looks at who may: what was said for less time and used by nobody had no effect.
        static let look = Span.seconds(5)
    }

    private let controller: Controller
    private let world: World
    private let host: any SessionHost
    private let daemonUser: UInt32
    private let policyFile: String
    /// Read at every request, so that a change counts at once.
    private let stated: @Sendable () throws -> Stated
    /// What the ledger was told last of who may.
    private var told: String?
    /// How many sessions each instance has now.
    private var sessions: [InstanceID: Int] = [:]
    /// Those that are kept because of sessions alone: they are replaced when their last one ends. Whatever else is kept,
    /// somebody holds.
    private var entered: Set<InstanceID> = []

    /// - Parameter policyFile: where people write who may, for refusals
    package init(
        _ controller: Controller, world: World, host: any SessionHost, daemonUser: UInt32, policyFile: String,
        stated: @escaping @Sendable () throws -> Stated
    ) {
        self.controller = controller
        self.world = world
        self.host = host
        self.daemonUser = daemonUser
        self.policyFile = policyFile
        self.stated = stated
    }

    // MARK: Who may

    /// Throws `notPermitted` unless a user of this host may go into instances.
    package nonisolated func require(_ user: UInt32) throws {
        let rule = try stated().rule
        guard !rule.allows(user, daemonUser: daemonUser) else { return }
        let all = (rule.allow ?? [0]) + [user]
        let list = all.map { "uid:\($0)" }.joined(separator: ", ")
        throw Failure(
            .notPermitted, "user \(user) may not go into instances of this host", at: policyFile,
            suggestion: "root may allow it there: break-glass: {allow: [\(list)]}")
    }

    /// Whether somebody may who may not use the daemon otherwise, and so has to reach its socket.
    package nonisolated var isForOthers: Bool {
        (try? stated())?.rule.namesOthers(than: daemonUser) ?? false
    }

    /// Writes down who may go into instances now, if that is news.
    private func tell() async throws {
        let stated = try stated()
        let named = stated.rule.allow?.map { "uid:\($0)" }.joined(separator: ", ")
        var text = "who may go into instances here: \(named ?? "root and the daemon's user")"
        if let problem = stated.problem { text += "; its file cannot be used as it is now: \(problem)" }
        guard text != told else { return }
        if let problem = stated.problem {
            world.logger.error("policy not usable", metadata: ["problem": "\(problem)"])
        }
        try await world.ledger.append([
            LedgerEntry(
                .policy, text, at: world.clock.now, by: LedgerEntry.daemon,
                details: ["break-glass": named ?? "", "file": policyFile])
        ])
        // Only now: what could not be written is still to be told.
        told = text
    }

    /// Looks again and again who may, until it is cancelled: also what nobody makes use of is written down.
    package func watch() async {
        while !Task.isCancelled {
            do {
                try await tell()
            } catch {
                world.logger.error(
                    "who may go into instances is not in the ledger", metadata: ["error": "\(error)"])
            }
            do { try await world.clock.sleep(for: Limit.look) } catch { return }
        }
    }

    // MARK: Sessions

    /// Lets a session begin. The ledger has it, and the instance is out of traffic or about to be, when this returns.
    package func open(_ order: Order, by user: UInt32) async throws -> (Session, SessionPlace) {
        try await tell()
        try require(user)
        try BreakGlass.check(order.reason, order.span, most: Session.Limit.longest)
        try check(order)
        guard sessions.values.reduce(0, +) < Session.Limit.atOnce else {
            throw Failure(
                .conflict, "\(Session.Limit.atOnce) sessions are open on this host, which is the most",
                suggestion: "end one of them first")
        }
        sessions[order.instance, default: 0] += 1
        // Before it is prepared: until the person is there, nothing else shows that somebody needs it.
        if let image = order.image { await controller.pin(image) }
        do {
            return try await openNow(order, by: user)
        } catch {
            if let image = order.image { await controller.unpin(image) }
            leave(order.instance)
            await settle(order.instance, by: "uid:\(user)")
            throw error
        }
    }

    private func openNow(_ order: Order, by user: UInt32) async throws -> (Session, SessionPlace) {
        let instance = try await controller.instance(order.instance)
        if let image = order.image { try await admit(image, instance.key, by: "uid:\(user)") }
        let now = world.clock.now
        let kept = try await controller.snapshot(of: instance.key).state.tainted.first {
            $0.id == order.instance && ($0.keptUntil ?? now) > now
        }
        let isHeld = kept != nil && !entered.contains(order.instance)
        // At once: another who comes now has to know whose doing the taint is.
        if !isHeld { entered.insert(order.instance) }
        let asked = Session(
            number: 0, kind: order.kind, instance: order.instance, key: instance.key, by: "uid:\(user)",
            reason: order.reason, command: order.command, image: order.image, terminal: order.terminal,
            isInTraffic: order.isInTraffic, begunAt: now,
            until: isHeld ? min(now + order.span, kept?.keptUntil ?? now) : now + order.span,
            endsInstance: !isHeld)
        let session = try await host.reserve(asked)
        do {
            if !isHeld {
                let until = max(session.until + Session.Limit.farewell, kept?.keptUntil ?? now)
                try await controller.taint(
                    session.instance, reason: session.reason, by: session.by, until: until,
                    isInTraffic: session.isInTraffic)
            }
            try await world.ledger.append([LedgerEntry(beginning: session, at: world.clock.now)])
            let place = try await host.open(session, for: user) { await self.ended($0) }
            return (session, place)
        } catch {
            let failure = Failure.list(error)[0]
            let end = SessionEnd(.notStarted, failure.message, at: world.clock.now)
            await record(await host.abandon(session, end))
            throw error
        }
    }

    private func check(_ order: Order) throws {
        let bytes = order.command.reduce(0) { $0 + $1.utf8.count + 1 }
        guard let program = order.command.first, !program.isEmpty,
            order.command.count <= Session.Limit.words, bytes <= Session.Limit.commandBytes,
            !order.command.contains(where: { $0.utf8.contains(0) })
        else {
            throw Failure(
                .invalidArgument, "a command of 1 to \(Session.Limit.words) words is needed",
                suggestion: "write it after --, as in: -- sh")
        }
        guard (order.kind == .debug) == (order.image != nil) else {
            throw Failure(
                .invalidArgument, "a tool image belongs to debug, and only there",
                suggestion: "kiln debug \(order.instance) --image tools --reason … -- sh")
        }
    }

    static func check(_ reason: String, _ span: Span, most: Span) throws {
        guard reason.contains(where: { !$0.isWhitespace }) else {
            throw Failure(
                .invalidArgument, "a reason is needed: it is what the ledger keeps",
                suggestion: "add --reason \"…\"")
        }
        guard reason.utf8.count <= Session.Limit.reasonBytes else {
            throw Failure(
                .invalidArgument,
                "the reason has \(reason.utf8.count) bytes; "
                    + "\(Session.Limit.reasonBytes) are the most", suggestion: "say it shorter")
        }
        guard span.milliseconds >= 1000, span <= most else {
            throw Failure(
                .invalidArgument, "\(span) is no time for this; 1s to \(most) are allowed",
                suggestion: "leave --for away for the usual time")
        }
    }

    /// A tool image proves what every image has to prove on this host.
    private func admit(_ image: Digest, _ key: ServiceKey, by operatorName: String) async throws {
        let verdict = await world.admission.decide(image, asking: nil, for: key, .new, at: world.clock.now)
        if !verdict.isAdmitted || verdict.evidence != nil {
            try await world.ledger.append([verdict.entry(key, at: world.clock.now, by: operatorName)])
        }
        try verdict.requireAdmitted()
        try await world.platform.prepare(image)
    }

    private func ended(_ session: Session) async {
        // Before the ledger is waited for: whoever comes meanwhile is in it, and keeps it.
        leave(session.instance)
        await record(session)
        await settle(session.instance, after: session.number, by: session.by)
        guard let image = session.image else { return }
        await controller.unpin(image)
        await controller.forgetUnusedImages()
    }

    /// Has the end in the ledger.
    private func record(_ session: Session) async {
        do {
            try await world.ledger.append([LedgerEntry(ending: session, at: world.clock.now)])
            await host.told(session)
        } catch {
            world.logger.error(
                "the end of a session is not in the ledger",
                metadata: ["session": "\(session.number)", "error": "\(error)"])
        }
    }

    /// Has an instance replaced that sessions alone kept, where nobody is in it any more.
    private func settle(_ id: InstanceID, after number: Int? = nil, by operatorName: String) async {
        guard sessions[id] == nil, entered.remove(id) != nil else { return }
        let message = "\(number.map { "session \($0)" } ?? "a session") in \(id) is over: it is replaced"
        // An instance that is gone, or is being replaced, needs no end.
        try? await controller.endTaint(id, message: message, by: operatorName)
    }

    private func leave(_ id: InstanceID) {
        let rest = (sessions[id] ?? 1) - 1
        sessions[id] = rest > 0 ? rest : nil
    }

    // MARK: Holding

    /// Keeps an instance as it is, out of traffic and with another in its place, for whoever wants to look at it.
    package func hold(_ id: InstanceID, reason: String, span: Span, by user: UInt32) async throws -> Instant {
        try await tell()
        try require(user)
        try BreakGlass.check(reason, span, most: Session.Limit.longestHold)
        let key = try await controller.instance(id).key
        let kept = try await controller.snapshot(of: key).state.tainted(id)?.keptUntil
        var until = world.clock.now + span
        // Whoever is in it now stays for as long as they were given.
        if sessions[id] != nil, let kept { until = max(until, kept) }
        let wasEntered = entered.remove(id) != nil
        do {
            try await controller.taint(
                id, reason: reason, by: "uid:\(user)", until: until, isInTraffic: false)
        } catch {
            if wasEntered, sessions[id] != nil { entered.insert(id) }
            throw error
        }
        return until
    }

    package func endHold(_ id: InstanceID, by user: UInt32) async throws {
        try require(user)
        guard sessions[id] == nil else {
            throw Failure(
                .conflict, "somebody is in \(id) now", suggestion: "it is replaced when the session ends")
        }
        try await controller.endTaint(
            id, message: "uid:\(user) holds \(id) no longer: it is replaced", by: "uid:\(user)")
    }

    // MARK: Beginning and end

    /// Ends what the last daemon left of its sessions. Call once, after the controller has recovered.
    package func recover() async throws {
        for session in try await host.recover() {
            if session.endsInstance { entered.insert(session.instance) }
            await record(session)
            await settle(session.instance, after: session.number, by: session.by)
        }
    }

    /// Ends every session, and lets nobody in from then on.
    package func stop() async { await host.stop() }
}

extension LedgerEntry {
    init(beginning session: Session, at now: Instant) {
        let how = session.kind == .exec ? "runs a command in" : "runs a tool beside"
        self.init(
            .breakGlass, "\(session.by) \(how) \(session.instance): session \(session.number)", at: now,
            by: session.by, service: session.key, release: session.instance.release,
            instance: session.instance, image: session.image, reason: session.reason,
            details: [
                "session": "\(session.number)", "kind": session.kind.rawValue, "phase": "begin",
                "command": session.command.joined(separator: " "), "until": "\(session.until)",
                "in-traffic": "\(session.isInTraffic)",
            ])
    }

    init(ending session: Session, at now: Instant) {
        var details = [
            "session": "\(session.number)", "kind": session.kind.rawValue, "phase": "end",
            "milliseconds": "\(((session.end?.at ?? now) - session.begunAt).milliseconds)",
        ]
        details["outcome"] = session.end?.outcome.rawValue
        details["status"] = session.end?.status.map { "\($0)" }
        details["recording-bytes"] = session.end.map { "\($0.recordingBytes)" }
        self.init(
            .breakGlass, "session \(session.number) is over: \(session.end?.message ?? "its end is unknown")",
            at: now, by: session.by, service: session.key, release: session.instance.release,
            instance: session.instance, image: session.image, reason: session.reason,
            evidence: session.end?.recording, details: details)
    }
}
