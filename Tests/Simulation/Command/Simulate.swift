import Glibc
import Simulation

/// Tries scripts, and makes those small that break a law. 0: no law was broken · 1: one was · 2: the request was wrong.
@main
struct Simulate {
    private static let usage = """
        simulate --seeds N [--from N] [--slices N] [--atmost N]   tries many seeds
        simulate --seed N [--trace]                               tries one; a failing one is made small and told
        simulate --script FILE [--trace] [--shrink]               replays a script that was printed
        """
    /// How much of what happened before a violation is told.
    private static let eventsTold = 60
    /// Broken laws for which a seed is made small and told in full.
    private static let lawsTold = 3

    private let arguments: [String]
    private var isTraced: Bool { arguments.contains("--trace") }

    static func main() async {
        exit(await Simulate(arguments: CommandLine.arguments).run())
    }

    private func value<Number: LosslessStringConvertible>(_ name: String) -> Number? {
        guard let place = arguments.firstIndex(of: name), place + 1 < arguments.count else { return nil }
        return Number(arguments[place + 1])
    }

    private func run() async -> Int32 {
        if let count: UInt64 = value("--seeds") { return await survey(count) }
        if let seed: UInt64 = value("--seed") { return replay(Script.drawn(by: seed), isShrunk: true) }
        if let path: String = value("--script") {
            do {
                let script = try Script(text: Simulate.text(of: path))
                return replay(script, isShrunk: arguments.contains("--shrink"))
            } catch { print(error) }
        }
        print(Simulate.usage)
        return 2
    }

    private func survey(_ count: UInt64) async -> Int32 {
        let from: UInt64 = value("--from") ?? 0
        let begin = ContinuousClock.now
        let survey = await Survey.of(
            from..<(from + count), slices: value("--slices") ?? 2, atMost: value("--atmost") ?? 20)
        print(
            survey.text(
                seconds: begin.duration(to: .now) / .seconds(1),
                busy: Double(clock()) / Double(CLOCKS_PER_SEC)))
        let findings = survey.findings.sorted { $0.seed < $1.seed }
        for finding in findings {
            print("seed \(finding.seed): \(finding.violation.law.rawValue): \(finding.violation.text)")
        }
        // What was found is told before anything is made smaller, also into a file.
        fflush(nil)
        var told: Set<Law> = []
        for finding in findings where told.count < Simulate.lawsTold {
            guard told.insert(finding.violation.law).inserted else { continue }
            shrink(Script.drawn(by: finding.seed), finding.violation.law)
        }
        return findings.isEmpty ? 0 : 1
    }

    private func replay(_ script: Script, isShrunk: Bool) -> Int32 {
        guard let violation = tell(script) else { return 0 }
        if isShrunk { shrink(script, violation.law) }
        return 1
    }

    private func shrink(_ script: Script, _ law: Law) {
        print("\n== seed \(script.seed), made smaller ==")
        _ = tell(Shrinker.shrink(script, breaking: law))
    }

    private func tell(_ script: Script) -> Violation? {
        let run = SimulatedRun(script, isTraced: true)
        run.run()
        print(script.text)
        let trace = run.trace ?? []
        let first = isTraced ? 0 : max(0, trace.count - Simulate.eventsTold)
        for line in trace[first...] { print(line) }
        let end = run.violation.map { "broken after \($0.at) ms: \($0.law.rawValue): \($0.text)" }
        print("\n" + (end ?? "no law is broken"))
        return run.violation
    }

    /// A whole text file; empty where it cannot be read.
    private static func text(of path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var text: [UInt8] = []
        while case let byte = getc(file), byte != EOF { text.append(UInt8(truncatingIfNeeded: byte)) }
        return String(decoding: text, as: UTF8.self)
    }
}
