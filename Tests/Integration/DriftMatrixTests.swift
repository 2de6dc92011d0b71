import Foundation
import Model
import TestKit
import Testing
import WireAPI

/// Every kind of drift, brought about for real on services of the real program, found and repaired.
extension OnThisHost {
    @Suite struct DriftMatrixTests {
        /// What somebody does to an instance, as a script over `PID`, `ID`, `ROOT` and the like.
        struct Attack: Sendable, CustomTestStringConvertible {
            var name: String
            /// What it may be found as: whoever enters by a program is seen before what the program does.
            var kinds: Set<Drift.Kind>
            var script: String
            /// It is put right in place, and the instance stays.
            var isPutBack = false
            /// It is seen by looking, and not told by the kernel.
            var isPolled = false

            var testDescription: String { name }

            func isShown(by note: Note) -> Bool {
                kinds.contains { $0.rawValue == note.details["kind"] }
            }

            /// Runs lines of Python in namespaces of the instance, with all else of the host.
            static func inside(_ namespaces: [String], _ lines: String...) -> String {
                let joins = namespaces.map {
                    "c.setns(os.open('/proc/' + os.environ['PID'] + '/ns/\($0)', os.O_RDONLY), 0)"
                }
                let text =
                    ["import ctypes, os, time", "c = ctypes.CDLL(None, use_errno=True)"] + joins + lines
                return "python3 -c \"\(text.joined(separator: "\n"))\""
            }

            static let all: [Attack] = [
                Attack(
                    name: "nsenter into everything", kinds: [.process],
                    script: "! nsenter -t $PID -a /usr/bin/testserver"),
                Attack(
                    name: "nsenter into the network", kinds: [.process],
                    script: "nsenter -t $PID -n sleep 30 > /dev/null 2>&1 &"),
                Attack(
                    name: "a command by the runtime", kinds: [.process],
                    script: """
                        nsenter -t $MONITOR -m -- $(tr '\\0' '\\n' < /proc/$MONITOR/cmdline | awk '
                          $0 == "--runtime" { getline; program = $0 }
                          sub(/^--runtime-arg=/, "") { arguments = arguments " " $0 }
                          END { print program arguments }') exec $ID /usr/bin/testserver > /dev/null 2>&1 &
                        """),
                Attack(
                    name: "a process in the control group", kinds: [.process],
                    script:
                        """
                        sh -c 'for g in '"$GROUPS_OF"'; do echo $$ > $g/cgroup.procs; done; exec sleep 30' \
                        > /dev/null 2>&1 &
                        """
                ),
                Attack(
                    name: "a mount over a folder", kinds: [.confinement],
                    script: inside(["mnt"], "assert c.mount(b'x', b'/usr', b'tmpfs', 0, None) == 0"),
                    isPolled: true),
                Attack(
                    name: "an altered configuration", kinds: [.confinement],
                    script: "echo >> $BUNDLE/config.json", isPolled: true),
                Attack(
                    name: "rewritten limits", kinds: [.limits],
                    script: "for g in $GROUPS_OF; do test ! -e $g/pids.max || echo 5000 > $g/pids.max; done",
                    isPutBack: true, isPolled: true),
                Attack(
                    name: "a route", kinds: [.network, .process],
                    script: "nsenter -t $PID -n ip route add 10.9.0.0/16 dev lo"),
                Attack(
                    name: "an address", kinds: [.network, .process],
                    script: "nsenter -t $PID -n ip address add 10.9.0.1/32 dev lo"),
                Attack(
                    name: "a firewall rule", kinds: [.network, .process],
                    script: "nsenter -t $PID -n nft add table ip x"),
                Attack(
                    name: "a written image", kinds: [.image],
                    script: """
                        f=$(ls $ROOT/images/*.erofs | head -n1); s=$(stat -c %s $f)
                        printf x | dd of=$f bs=1 seek=$((s / 2)) conv=notrunc status=none
                        """),
            ]
        }

        struct Outcome {
            var name: String
            var detect: Int?
            var replace: Int?
            var isPolled: Bool
        }

        @Test func `every kind of drift is found and repaired, and nothing else is taken for drift`() throws {
            let site = try Site()
            for number in Attack.all.indices {
                try site.addTestServer(
                    "s\(number)",
                    """
                    run: {replicas: 2, port: 8080, health: {tcp: true, interval: 200ms}}
                    rollout: {watch: 0s, keep-standby: 0, drain: 0s}
                    """)
                try site.edit("s\(number)") {
                    $0.replacingOccurrences(of: "service: hello", with: "service: s\(number)")
                }
            }
            try site.start()
            for number in Attack.all.indices {
                let deployed = try site.deploy("s\(number)")
                #expect(deployed.status == 0, "\(deployed.errors)")
            }
            let quiet = try site.kiln("drift")
            #expect(quiet.status == 0, "\(quiet.output)")
            var outcomes: [Outcome] = []
            for (number, attack) in Attack.all.enumerated() {
                outcomes.append(try play(attack, on: "s\(number)", at: site))
            }
            // The altered image has every instance replaced.
            try eventually("all is as released") { try site.kiln("drift").status == 0 }
            for attack in DriftMatrixTests.onHost { outcomes.append(try playOnHost(attack, at: site)) }
            print(DriftMatrixTests.report(outcomes, falsePositives: try falsePositives(at: site)))
            for outcome in outcomes {
                #expect(outcome.detect != nil, "\(outcome.name) was not found")
                #expect(outcome.replace != nil, "\(outcome.name) was not repaired")
            }
            #expect(try falsePositives(at: site) == 0)
            try eventually("all is as released") { try site.kiln("drift").status == 0 }
            site.stop()
            #expect(site.leftovers() == [])
        }

        private func play(_ attack: Attack, on service: String, at site: Site) throws -> Outcome {
            let before = try instances(of: service, at: site)
            let target = try #require(before.first)
            let since = try events(of: service, at: site).last?.number ?? 0
            let pid = try #require(target.processID)
            let environment = [
                "PID=\(pid)", "ID=\(target.id)", "ROOT=\(site.root)",
                "MONITOR=$(pgrep -f 'conmon.* --cid \(target.id) .*\(site.root)' | head -n1)",
                "BUNDLE=$(tr '\\0' '\\n' < /proc/$MONITOR/cmdline | awk '$0 == \"--bundle\" { getline; print }')",
                "GROUPS_OF=$(awk -F: '{ print $3 }' /proc/$PID/cgroup | grep -F \(target.id) | sort -u | "
                    + "while read g; do ls -d /sys/fs/cgroup$g /sys/fs/cgroup/*$g 2>/dev/null; done | tr '\\n' ' ')",
            ]
            let done = shell(
                environment.joined(separator: "\n") + "\nexport PID ID ROOT MONITOR BUNDLE GROUPS_OF\n"
                    + "date +%s%3N\n" + attack.script)
            let begin = try #require(done.output.split(separator: "\n").first.flatMap { Int($0) })
            #expect(done.status == 0, "\(attack.name): \(done.output)")
            var outcome = Outcome(name: attack.name, isPolled: attack.isPolled)
            try? eventually("\(attack.name) is found and repaired") {
                let news = try events(of: service, at: site).filter { $0.number > since }
                let found = news.first {
                    $0.note.kind == .drifted && attack.isShown(by: $0.note)
                }
                outcome.detect = found.map { $0.at.milliseconds - begin }
                let repaired =
                    attack.isPutBack
                    ? news.first { $0.note.kind == .setRight }
                    : news.first { event in
                        event.note.kind == .instanceHealthy
                            && !before.contains { $0.id == event.note.instance }
                    }
                outcome.replace = repaired.map { $0.at.milliseconds - begin }
                let isGone =
                    try attack.isPutBack || !instances(of: service, at: site).contains { $0.id == target.id }
                return outcome.detect != nil && outcome.replace != nil && isGone
            }
            return outcome
        }

        /// What somebody does to what all services share; `ADDRESS` is one of an instance.
        private static let onHost = [
            Attack(
                name: "a stranger's control group", kinds: [.stranger],
                script: "for g in $PARENTS; do mkdir -p $g/visitor; done", isPutBack: true, isPolled: true),
            Attack(
                name: "the proxy's file", kinds: [.router],
                script: "echo '# mine' >> $ROOT/proxy/haproxy.cfg",
                isPutBack: true, isPolled: true),
            Attack(
                name: "the proxy's live state", kinds: [.router],
                script: """
                    python3 -c "
                    import socket
                    s = socket.socket(socket.AF_UNIX)
                    s.connect('$RUN/haproxy.sock')
                    s.send(b'set server b.s0.production/$ID addr 127.0.0.9 port 9\\n')
                    assert b'127.0.0.9' in s.recv(4096)
                    "
                    """, isPutBack: true, isPolled: true),
            Attack(
                name: "the bridge taken down", kinds: [.host],
                script: "ip link set $(ip -o route get $ADDRESS | sed 's/.* dev \\([^ ]*\\).*/\\1/') down",
                isPutBack: true, isPolled: true),
        ]

        /// The ledger tells of these; they are of no service.
        private func playOnHost(_ attack: Attack, at site: Site) throws -> Outcome {
            let target = try #require(try instances(of: "s0", at: site).first)
            let before = try entries(at: site).count
            let done = shell(
                """
                PID=\(target.processID ?? 0) ID=\(target.id) ROOT=\(site.root) ADDRESS=\(target.address)
                MONITOR=$(pgrep -f "conmon.* --cid $ID .*$ROOT" | head -n1)
                RUN=$(tr '\\0' '\\n' < /proc/$MONITOR/cmdline | awk '$0 == "--bundle" { getline; print }' | \
                  xargs dirname | xargs dirname)
                PARENTS=$(ls -d /sys/fs/cgroup/$(basename $RUN) /sys/fs/cgroup/*/$(basename $RUN) 2>/dev/null)
                date +%s%3N
                \(attack.script)
                """)
            #expect(done.status == 0, "\(attack.name): \(done.output)")
            let begin = try #require(done.output.split(separator: "\n").first.flatMap { Int($0) })
            var outcome = Outcome(name: attack.name, isPolled: true)
            try? eventually("\(attack.name) is found and put back") {
                let news = try entries(at: site).dropFirst(before)
                func time(_ kind: LedgerEntry.Kind) -> Int? {
                    news.first { entry in
                        entry["kind"] as? String == kind.rawValue
                            && attack.kinds.contains {
                                $0.rawValue == (entry["details"] as? [String: Any])?["kind"] as? String
                            }
                    }.flatMap { ($0["at"] as? String).flatMap(Instant.init)?.milliseconds }
                }
                outcome.detect = time(.drift).map { $0 - begin }
                outcome.replace = time(.repair).map { $0 - begin }
                return outcome.detect != nil && outcome.replace != nil
            }
            return outcome
        }

        private func entries(at site: Site) throws -> [[String: Any]] {
            let shown = try site.kiln("ledger", "show", "--limit", "5000", "--output", "json")
            return try #require(
                try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [[String: Any]])
        }

        /// Instances that drifted and were not touched: all but the first ones of each service, those of an image that
        /// was written to aside.
        private func falsePositives(at site: Site) throws -> Int {
            try Attack.all.enumerated().reduce(0) { count, entry in
                let (number, attack) = entry
                let strange = try events(of: "s\(number)", at: site).filter { event in
                    event.note.kind == .drifted && !attack.isShown(by: event.note)
                        && event.note.details["kind"] != Drift.Kind.image.rawValue
                }
                return count + strange.count
            }
        }

        private func events(of service: String, at site: Site) throws -> [Event] {
            try site.kiln("history", service, "--output", "json").decoded(HistoryAnswer.self).events
        }

        private func instances(of service: String, at site: Site) throws -> [InstanceStatus] {
            let status = try site.kiln("status", service, "--output", "json").decoded(StatusAnswer.self)
            return (status.services.first?.instances ?? []).filter { $0.phase == .running }
        }

        static func report(_ outcomes: [Outcome], falsePositives: Int) -> String {
            func line(_ what: String, _ times: [Int]) -> String {
                let sorted = times.sorted()
                guard !sorted.isEmpty else { return "" }
                let p99 = sorted[min(sorted.count - 1, sorted.count * 99 / 100)]
                return "; \(what) p50 \(sorted[sorted.count / 2]) ms, p99 \(p99) ms"
            }
            let told = outcomes.filter { !$0.isPolled }
            let each = outcomes.map { outcome in
                let times = [outcome.detect, outcome.replace].map { $0.map { "\($0) ms" } ?? "never" }
                return "drift matrix: \(outcome.name): detected \(times[0]), repaired \(times[1])\n"
            }
            return each.joined()
                + "drift matrix: detected \(outcomes.count { $0.detect != nil })/\(outcomes.count), "
                + "repaired \(outcomes.count { $0.replace != nil })/\(outcomes.count), "
                + "false positives \(falsePositives)"
                + line("told by the kernel: detected", told.compactMap(\.detect))
                + line("replacement serves", told.compactMap(\.replace))
                + line("found by looking: detected", outcomes.filter(\.isPolled).compactMap(\.detect))
        }
    }
}
