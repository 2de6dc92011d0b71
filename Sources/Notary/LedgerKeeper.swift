package import Model
package import Ports
internal import Trust

/// Signs a checkpoint a while after something was logged, for as long as a daemon runs.
package struct LedgerKeeper: Sendable {
    private let notary: Notary
    private let clock: any Clock
    private let renewed: @Sendable (Notary) async throws -> Notary
    private let tell: @Sendable (_ warnings: [Failure], _ alarms: [Failure]) -> Void

    package enum Limit {
        /// What is logged in this time gets one checkpoint together.
        package static let pause = Span.seconds(5)
        /// Pauses between two attempts to reach a witness or a file that could not be had, doubled each time.
        static let longestWait = 64
    }

    /// - Parameters:
    ///   - renewed: gives what is to sign now, before each checkpoint: the key may have been replaced. Where it throws,
    ///     the key of the beginning signs
    ///   - tell: told what does not work and what tells of another log, each time that this changes
    package init(
        _ notary: Notary, clock: any Clock,
        renewed: @escaping @Sendable (Notary) async throws -> Notary = { $0 },
        tell: @escaping @Sendable (_ warnings: [Failure], _ alarms: [Failure]) -> Void
    ) {
        self.notary = notary
        self.clock = clock
        self.renewed = renewed
        self.tell = tell
    }

    /// Runs until it is cancelled.
    package func run() async {
        var pace = Pace()
        while !Task.isCancelled {
            await look(&pace)
            do { try await clock.sleep(for: Limit.pause) } catch { return }
        }
    }

    private struct Pace {
        /// How long the log was at the last checkpoint, and at the last one that everybody has whom it is meant for.
        var local: Int?
        var everywhere: Int?
        /// Pauses until everybody is asked again, and how many there are after the next failure.
        var (delay, backoff) = (0, 1)
        var known: Set<Failure> = []
    }

    private func look(_ pace: inout Pace) async {
        let asks = pace.delay == 0
        pace.delay = max(0, pace.delay - 1)
        var (warnings, alarms): ([Failure], [Failure]) = ([], [])
        do {
            let size = try notary.ledger.head().size
            guard size > 0, size != pace.everywhere, asks || size != pace.local else { return }
            let outcome = try await checkpoint(asking: asks)
            (warnings, alarms) = (outcome.warnings, outcome.alarms)
            pace.local = outcome.checkpoint.size
            if asks, warnings.isEmpty, alarms.isEmpty { pace.everywhere = pace.local }
        } catch {
            let failures = Failure.list(error)
            alarms = failures.filter { $0.code == .logInconsistent }
            warnings = failures.filter { $0.code != .logInconsistent }
        }
        guard asks, !Task.isCancelled else { return }
        let problems = Set(warnings + alarms)
        pace.delay = problems.isEmpty ? 0 : pace.backoff
        pace.backoff = problems.isEmpty ? 1 : min(pace.backoff * 2, Limit.longestWait)
        // What was told once is not told every five seconds.
        guard problems != pace.known else { return }
        pace.known = problems
        tell(warnings, alarms)
    }

    private func checkpoint(asking: Bool = true) async throws -> Notary.Outcome {
        var (current, warnings): (Notary, [Failure]) = (notary, [])
        do { current = try await renewed(notary) } catch { warnings = Failure.list(error) }
        var outcome = try await current.checkpoint(at: clock.now, asking: asking)
        outcome.warnings = warnings + outcome.warnings
        return outcome
    }

    /// One more at the end, so that the last entries are covered.
    package func finish() async {
        guard let size = try? notary.ledger.head().size, size > 0 else { return }
        let stored = (try? notary.ledger.checkpoints()) ?? []
        let names = [String?.none] + notary.witnesses.map { $0.key.name }
        let isCovered = names.allSatisfy { name in stored.contains { $0.witness == name && $0.size == size } }
        guard !isCovered else { return }
        do {
            let outcome = try await checkpoint()
            if !outcome.alarms.isEmpty { tell(outcome.warnings, outcome.alarms) }
        } catch {
            let failures = Failure.list(error)
            tell(
                failures.filter { $0.code != .logInconsistent },
                failures.filter { $0.code == .logInconsistent })
        }
    }
}
