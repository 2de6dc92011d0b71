import Foundation
import Glibc
import Model
import Synchronization
import TestKit
import Testing
import WireAPI

private let minutesAsked = ProcessInfo.processInfo.environment["KILN_SOAK_MINUTES"].flatMap { Int($0) }

/// Servers of Debian's packages in service for as long as `KILN_SOAK_MINUTES` says: half of it idle, half of it asked
/// without a pause. Nothing of what they do by themselves may be taken for drift, and the daemon may not grow.
extension OnThisHost {
    @Suite(
        .enabled(if: minutesAsked != nil, "KILN_SOAK_MINUTES says how long; `make soak` sets it"),
        .timeLimit(.minutes(180)))
    struct SoakTests {
        /// Samples in all; the first third is warming up.
        private static let samples = 60
        /// What allocators and caches may differ by between two thirds of a run.
        private static let slackBytes = 16 << 20
        private static let slackDescriptors = 12

        struct Sample {
            var at: Double
            var resident: Int
            var descriptors: Int
            var processor: Double
        }

        @Test func `nothing drifts by itself, and the daemon does not grow`() throws {
            let minutes = try #require(minutesAsked)
            let site = try Site()
            try site.start()
            #expect(try site.deploy("v1").status == 0)
            var ports: [(set: ServerSet, port: Int)] = []
            let all = ProcessInfo.processInfo.environment["KILN_ALL_PACKAGES"] != nil
            for set in ServerSet.all where all || set.isQuick || minutes >= 60 {
                let port = freePort()
                try site.copySet(set.name)
                try site.edit(set.name) { $0.replacing("127.0.0.1:\(site.port)", with: "127.0.0.1:\(port)") }
                try set.prepare(site, "\(site.folder)/\(set.name)")
                let deployed = try site.deploy(set.name)
                #expect(deployed.status == 0, "\(set.name): \(deployed.errors)")
                ports.append((set, port))
            }
            let daemon = try #require(site.daemonID)
            let step = Double(minutes * 60) / Double(SoakTests.samples)
            var (samples, drifting) = ([Sample](), 0)
            let load = Load(ports, web: site.port)
            for number in 0..<SoakTests.samples {
                if number == SoakTests.samples / 2 { load.begin() }
                Thread.sleep(forTimeInterval: step)
                if try site.kiln("drift").status != 0 { drifting += 1 }
                samples.append(try sample(daemon, at: Double(number) * step))
            }
            let answers = load.end()
            let found = try drifts(at: site)
            print(SoakTests.report(samples, servers: ports.count + 1, answers, found: found.count))
            #expect(drifting == 0)
            #expect(found == [])
            #expect(answers.wrong == 0 && answers.right > 0)
            let (middle, last) = SoakTests.thirds(samples)
            #expect(
                SoakTests.median(last.map(\.resident)) - SoakTests.median(middle.map(\.resident))
                    < SoakTests.slackBytes)
            #expect(
                SoakTests.median(last.map(\.descriptors)) - SoakTests.median(middle.map(\.descriptors))
                    <= SoakTests.slackDescriptors)
            site.stop()
            #expect(site.leftovers() == [])
        }

        private func sample(_ pid: Int32, at time: Double) throws -> Sample {
            let status = try String(contentsOfFile: "/proc/\(pid)/statm", encoding: .utf8).split(
                separator: " ")
            let fields =
                try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
                .split(separator: ") ").last?.split(separator: " ") ?? []
            let ticks = [11, 12].reduce(0) { $0 + (fields.count > $1 ? Int(fields[$1]) ?? 0 : 0) }
            return Sample(
                at: time, resident: (Int(status[1]) ?? 0) * Int(getpagesize()),
                descriptors: try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count,
                processor: Double(ticks) / Double(sysconf(Int32(_SC_CLK_TCK))))
        }

        /// What the history of every service and the ledger tell of drift.
        private func drifts(at site: Site) throws -> [String] {
            let shown = try site.kiln("ledger", "show", "--kind", "drift", "--limit", "1000")
            return shown.output.split(separator: "\n").map(String.init).filter { $0.contains("drift") }
        }

        private static func thirds(_ samples: [Sample]) -> (middle: [Sample], last: [Sample]) {
            let third = samples.count / 3
            return (Array(samples[third..<(2 * third)]), Array(samples[(2 * third)...]))
        }

        private static func median(_ values: [Int]) -> Int { values.sorted()[values.count / 2] }

        /// Growth in an hour, by least squares over what comes after the first third.
        private static func slope(_ samples: [Sample], _ value: (Sample) -> Int) -> Double {
            let used = samples.dropFirst(samples.count / 3)
            let count = Double(used.count)
            let (times, values) = (used.map(\.at), used.map { Double(value($0)) })
            let (time, mean) = (times.reduce(0, +) / count, values.reduce(0, +) / count)
            let spread = times.reduce(0) { $0 + ($1 - time) * ($1 - time) }
            let both = zip(times, values).reduce(0) { $0 + ($1.0 - time) * ($1.1 - mean) }
            return spread > 0 ? both / spread * 3600 : 0
        }

        private static func report(
            _ samples: [Sample], servers: Int, _ answers: (right: Int, wrong: Int), found: Int
        ) -> String {
            func text(_ value: Double) -> String { String(format: "%.1f", value) }
            let (first, last) = (samples[0], samples[samples.count - 1])
            let share = (last.processor - first.processor) / max(1, last.at - first.at) * 100
            return "soak: \(servers) servers, \(answers.right) answers, \(answers.wrong) wrong, "
                + "false positives \(found); resident \(text(Double(last.resident) / 1_048_576)) MiB, "
                + "\(text(slope(samples, \.resident) / 1_048_576)) MiB an hour; descriptors \(last.descriptors), "
                + "\(text(slope(samples, \.descriptors))) an hour; \(text(share)) % of a core"
        }

        /// Asks every server in turn, from one thread, until it is ended.
        final class Load: @unchecked Sendable {
            private let servers: [(set: ServerSet, port: Int)]
            private let web: Int
            private let state = Mutex((right: 0, wrong: 0, isOver: false))
            private let done = DispatchSemaphore(value: 0)
            private var isBegun = false

            init(_ servers: [(set: ServerSet, port: Int)], web: Int) {
                self.servers = servers
                self.web = web
            }

            func begin() {
                isBegun = true
                Thread { [self] in
                    while !state.withLock({ $0.isOver }) { round() }
                    done.signal()
                }.start()
            }

            private func round() {
                for (set, port) in servers {
                    let isRight = (try? set.ask(port))??.contains(set.answer) == true
                    state.withLock { if isRight { $0.right += 1 } else { $0.wrong += 1 } }
                }
                let page = shell("curl -s --max-time 10 http://127.0.0.1:\(web)/").output
                state.withLock { if page.contains("hello") { $0.right += 1 } else { $0.wrong += 1 } }
            }

            func end() -> (right: Int, wrong: Int) {
                state.withLock { $0.isOver = true }
                if isBegun { done.wait() }
                return state.withLock { ($0.right, $0.wrong) }
            }
        }
    }
}
