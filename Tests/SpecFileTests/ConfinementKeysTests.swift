import Model
import Testing

@testable import SpecFile

@Suite struct ConfinementKeysTests {
    /// The sound spec with `run.allow` behind its config, on lines 15 and after.
    private static func spec(_ entries: String) -> String {
        let lines = entries.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n")
        return SoundSpec.with(line: 14, SoundSpec.lines[13] + "\n  allow:\n" + lines)
    }

    @Test func `each thing is read with its reason`() throws {
        let text = Self.spec(
            """
            - capability: NET_RAW
              reason: sends ICMP probes
            - system-calls: [io_uring_setup, io_uring_enter]
              reason: reads many files at once
            - {host-users: true, reason: "its image has users above 65535"}
            """)
        let spec = try SpecFile.parse(text, file: "kiln.yaml")
        #expect(
            spec.run.allow == [
                Allowance(.capability(.netRaw), reason: "sends ICMP probes"),
                Allowance(
                    .systemCalls(["io_uring_setup", "io_uring_enter"]), reason: "reads many files at once"),
                Allowance(.hostUsers, reason: "its image has users above 65535"),
            ])
        #expect(try SpecFile.parse(SoundSpec.text, file: "kiln.yaml").run.allow == [])
    }

    /// Lines count from the first entry.
    private static let slips: [(String, String)] = [
        ("- {capability: NET_RAW}", "1: an entry of allow has no reason → add reason: sends ICMP probes"),
        (
            "- {capability: NET_RAW, reason: \"\"}", "1: reason has 0 bytes; 1…1024 are allowed"
        ),
        (
            "- {reason: because}",
            "1: the entry allows nothing → name one of capability, system-calls and host-users"
        ),
        (
            "- {capability: NETRAW, reason: a}",
            "1: capability is \"NETRAW\"; the choices are CHOWN, "
        ),
        (
            "- {capability: SYS_ADMIN, reason: a}",
            "1: capability is \"SYS_ADMIN\", which no instance gets: it would give the host away → do without it"
        ),
        (
            "- {system-calls: [io_uring_setpu], reason: a}",
            "1: \"io_uring_setpu\" is not a system call that can be allowed → did you mean io_uring_setup?"
        ),
        (
            "- {system-calls: [init_module], reason: a}",
            "1: \"init_module\" is not a system call that can be allowed → "
        ),
        (
            "- {system-calls: [openat], reason: a}",
            "1: \"openat\" is a system call that every instance may make → remove it"
        ),
        ("- {capability: CAP_KILL, reason: a}", "1: capability is \"CAP_KILL\"; the choices are CHOWN, "),
        ("- {system-calls: [keyctl, keyctl], reason: a}", "1: system-calls has keyctl twice"),
        ("- {system-calls: [], reason: a}", "1: system-calls is an empty list"),
        ("- {host-users: false, reason: a}", "1: host-users: false asks for nothing"),
        (
            "- {host-users: true, capability: KILL, reason: a}",
            "1: capability and host-users are in one entry → write an entry with a reason of its own for each"
        ),
        (
            "- {capability: KILL, reason: a}\n- {capability: KILL, reason: b}",
            "2: allow has capability KILL twice"
        ),
        (
            "- {capabilty: KILL, reason: a}",
            "1: \"capabilty\" is not a key of an entry of allow → did you mean capability?"
        ),
    ]

    @Test(arguments: slips) func `a slip is said with its line and what to write`(
        _ entry: String, _ said: String
    ) {
        do {
            _ = try SpecFile.parse(Self.spec(entry), file: "kiln.yaml")
            Issue.record("it was read")
        } catch {
            let found = Failure.list(error).map { failure in
                let line = (failure.place?.split(separator: ":").last).flatMap { Int($0) } ?? 0
                return "\(line - 15): \(failure.message) → \(failure.suggestion ?? "")"
            }
            #expect(found.contains { $0.hasPrefix(said) }, "\(found)")
        }
    }

    @Test func `what gives the host away is on no list`() {
        for name in [
            "mount", "init_module", "kexec_load", "setns", "unshare", "open_by_handle_at", "bpf", "reboot",
        ] {
            #expect(!SystemCallFilter.isUsual(name) && !SystemCallFilter.onRequest.contains(name), "\(name)")
        }
        let names = Capability.allCases.map(\.rawValue)
        // Of every capability that there is, it is said whether it can be asked for.
        #expect(Set(names + Capability.refused).count == 41)
        #expect(Set(names).isDisjoint(with: Capability.refused))
        #expect(SystemCallFilter.onRequest.allSatisfy { !SystemCallFilter.isUsual($0) })
    }
}
