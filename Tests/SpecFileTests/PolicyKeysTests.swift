import Model
import Testing

@testable import SpecFile

/// What can be wrong with a policy, in kiln.yaml below its key and in a host's file at its top.
@Suite struct PolicyKeysTests {
    private static let whole = """
        require: [signature, provenance, sbom, "https://example.com/scan/v1"]
        keys: KEYS
        builders: [https://ci.example/runner]
        sources: [https://git.example/shop]
        allow-dirty: true
        max-age: 30d
        vulnerabilities:
          feed: FEED
          refuse: critical
          unrated: pass
          max-feed-age: 7d
          except:
            - {id: CVE-2024-3094, package: xz-utils, until: 2026-12-31, reason: not reached}
            - {id: DSA-1-1, until: 2028-02-29, reason: "by design"}
        """

    private static func spec(_ policy: String) -> String {
        let lines = policy.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
        return SoundSpec.text + "policy:\n" + lines + "\n"
    }

    private static func rules(feed: String) -> AdmissionPolicy {
        AdmissionPolicy(
            required: [
                "https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1",
                "https://spdx.dev/Document", "https://example.com/scan/v1",
            ],
            builders: ["https://ci.example/runner"], sources: ["https://git.example/shop"],
            allowsDirtySources: true, maximumAge: .seconds(30 * 86_400),
            vulnerabilities: VulnerabilityRule(
                feed: feed, atLeast: .critical, unrated: .pass, maximumFeedAge: .seconds(7 * 86_400),
                exceptions: [
                    .init(
                        id: "CVE-2024-3094", package: "xz-utils", until: Instant("2026-12-31T00:00:00Z")!,
                        reason: "not reached"),
                    .init(id: "DSA-1-1", until: Instant("2028-02-29T00:00:00Z")!, reason: "by design"),
                ]))
    }

    @Test func `every key of a spec's policy is read`() throws {
        let text = Self.whole.replacing("KEYS", with: "[keys/a.pub, ./b.pub]").replacing(
            "FEED", with: "feed.json")
        let spec = try SpecFile.parse(Self.spec(text), file: "kiln.yaml")
        #expect(
            spec.policy == PolicyDraft(keys: ["keys/a.pub", "b.pub"], rules: Self.rules(feed: "feed.json")))
    }

    @Test func `a host's file has the same keys at its top`() throws {
        let text = Self.whole.replacing("KEYS", with: "[release, /etc/kiln/b.pub]").replacing(
            "FEED", with: "/srv/feed.json")
        #expect(
            try HostPolicy.parse(text, file: "policy.yaml")
                == PolicyDraft(
                    keys: ["release", "/etc/kiln/b.pub"], rules: Self.rules(feed: "/srv/feed.json")))
    }

    /// As `MutationTests` spoils specs; the sound part of the file is left alone.
    @Test(arguments: 1...4)
    func `a spoilt policy is read or refused with a line of the file, and never crashes`(_ seed: Int) throws {
        let sound = Self.whole.replacing("KEYS", with: "[release]").replacing("FEED", with: "/feed.json")
        let pieces = [
            ":", "- ", "[", "]", "{", "}", "\"", "\n", "  ", "null", "0", "9999999999999", "é", "~", "\t",
        ]
        var random = Seeded(state: UInt64(seed))
        for _ in 0..<400 {
            var characters = Array(sound)
            for _ in 1...3 {
                let place = Int.random(in: 0..<characters.count, using: &random)
                if Bool.random(using: &random) {
                    characters.insert(contentsOf: pieces.randomElement(using: &random)!, at: place)
                } else {
                    characters.removeSubrange(place..<min(characters.count, place + 4))
                }
            }
            let text = String(characters)
            do {
                let policy = try HostPolicy.parse(text, file: "policy.yaml")
                #expect(
                    !policy.rules.required.isEmpty || policy.rules.vulnerabilities != nil
                        || policy.rules.builders != nil || policy.rules.sources != nil
                        || policy.rules.maximumAge != nil, "\(text)")
            } catch {
                let lines =
                    text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).count + 1
                for failure in Failure.list(error) {
                    let line = Int(failure.place?.dropFirst("policy.yaml:".count) ?? "")
                    #expect(line.map { (1...lines).contains($0) } == true, "\(failure): \(text)")
                    #expect(failure.code == .invalidSpec && failure.suggestion != nil)
                }
            }
        }
    }

    @Test func `a spec without a policy has none, and defaults are strict`() throws {
        #expect(try SpecFile.parse(SoundSpec.text, file: "kiln.yaml").policy == nil)
        let policy = try HostPolicy.parse("vulnerabilities: {feed: /f}", file: "policy.yaml")
        #expect(policy.keys.isEmpty && policy.rules.required.isEmpty && !policy.rules.allowsDirtySources)
        #expect(policy.rules.vulnerabilities == VulnerabilityRule(feed: "/f", atLeast: .high))
        #expect(policy.rules.vulnerabilities?.unrated == .refuseFixed)
    }

    /// Lines count from the first of the policy's own.
    private static let slips: [(String, [String])] = [
        (
            "require: [provenence]",
            [
                "1: an entry of require is \"provenence\"; signature, provenance and sbom are known, and types with a scheme → write provenance"
            ]
        ),
        (
            "require: [scan]",
            [
                "1: an entry of require is \"scan\"; signature, provenance and sbom are known, and types with a scheme → write signature, or https://… for another type"
            ]
        ),
        (
            "require: [sbom,\n  https://spdx.dev/Document]",
            ["2: require has sbom twice → keep one of the two"]
        ),
        ("require: []", ["1: require is an empty list → write require: [signature, provenance]"]),
        (
            "require: signature",
            ["1: require is a single value; a list is needed → write require: [signature, provenance]"]
        ),
        (
            "max-age: 0s",
            ["1: max-age is 0s; 1m…366d are allowed → write max-age: 30d"]
        ),
        (
            "max-age: 30d\nallow-dirty: true",
            [
                "2: allow-dirty is given, but no sources → add sources: [https://git.example/shop], or remove allow-dirty"
            ]
        ),
        (
            "builders: [a b]",
            [
                "1: an entry of builders is \"a b\"; 1 to 1024 plain characters without spaces are needed → write https://ci.example/runner"
            ]
        ),
        (
            "require: [signature]\nmax_age: 30d",
            [
                "2: \"max_age\" is not a key of policy → did you mean max-age? the keys here are require, keys, builders, sources, allow-dirty, max-age and vulnerabilities"
            ]
        ),
        (
            "vulnerabilities: {refuse: high}",
            ["1: vulnerabilities has no feed → add feed: /var/lib/kiln/feed.json"]
        ),
        (
            "vulnerabilities: {feed: /f, refuse: unknown}",
            ["1: refuse is \"unknown\"; the choices are low, medium, high and critical → write refuse: high"]
        ),
        (
            "vulnerabilities: {feed: /f, unrated: maybe}",
            [
                "1: unrated is \"maybe\"; the choices are refuse, refuse-fixed and pass → write unrated: refuse-fixed"
            ]
        ),
        (
            "vulnerabilities:\n  feed: /f\n  except:\n    - {id: CVE-2024-3094, until: 2026-12-31}",
            ["4: an entry of except has no reason → add reason: not reached"]
        ),
        (
            "vulnerabilities:\n  feed: /f\n  except:\n    - {id: CVE-2024-3094, reason: x}",
            ["4: an entry of except has no until → add until: 2026-12-31"]
        ),
        (
            "vulnerabilities:\n  feed: /f\n  except:\n    - {id: CVE-2024-3094, until: 2026-02-29, reason: x}",
            ["4: until is \"2026-02-29\"; a day is needed → write until: 2026-12-31"]
        ),
        (
            "vulnerabilities:\n  feed: /f\n  except:\n    - {id: CVE-2024-3094, until: 30d, reason: \"\"}",
            [
                "4: until is \"30d\"; a day is needed → write until: 2026-12-31",
                "4: reason has 0 bytes; 1…1024 are allowed → write reason: not reached",
            ]
        ),
        (
            "vulnerabilities:\n  feed: /f\n  except:\n    - {id: A-1, until: 2026-12-31, reason: x}\n    - {id: A-1, until: 2027-12-31, reason: y}",
            ["5: A-1 is excepted twice, first on line 4 → keep one of the two"]
        ),
    ]

    @Test(arguments: slips.indices)
    func `each slip in a policy is named with its line and what to write`(row: Int) throws {
        let (text, said) = Self.slips[row]
        let offset = SoundSpec.lines.count + 1
        let moved = said.map { problem in
            let line = Int(problem.prefix { $0 != ":" })!
            let words = problem.drop { $0 != ":" }
            return "\(line + offset)\(words)".replacing(
                "first on line \(line - 1)", with: "first on line \(line - 1 + offset)")
        }
        #expect(problems(Self.spec(text)) == moved)
        // The same file stands for a host's, and is wrong in the same way.
        // A host's file has one key more.
        let host = said.map {
            $0.replacing("key of policy", with: "key of the policy")
                .replacing("max-age and vulnerabilities", with: "max-age, vulnerabilities and break-glass")
        }
        #expect(hostProblems(text) == host)
    }

    private func hostProblems(_ text: String) -> [String] {
        do {
            _ = try HostPolicy.parse(text, file: "policy.yaml")
            return []
        } catch {
            return Failure.list(error).map {
                "\(($0.place ?? "").dropFirst("policy.yaml:".count)): \($0.message) → \($0.suggestion ?? "")"
            }
        }
    }

    @Test(arguments: [
        ("keys: [release.pub]", "keys are given, and nothing that they should have signed"),
        ("allow-dirty: false\nsources: [a]", ""),
    ])
    func `a key that nothing has to be signed by would be believed to protect`(_ text: String, _ said: String)
    {
        let found = problems(Self.spec(text))
        #expect(said.isEmpty ? found.isEmpty : found.count == 1 && found[0].contains(said), "\(found)")
    }

    @Test func `a policy that asks for nothing is refused`() {
        #expect(
            problems(SoundSpec.text + "policy: {}\n") == [
                "18: the policy asks for nothing → add require: [signature]"
            ])
        #expect(
            hostProblems("# nothing\n") == [
                "1: the file is empty → write what images must prove, such as require: [signature], or remove the file"
            ])
        #expect(hostProblems("[]").first?.hasPrefix("1: the policy is a list; settings are needed") == true)
    }

    @Test func `keys of a spec lie beside it, and those of a host are its own or have whole paths`() {
        #expect(
            problems(Self.spec("require: [signature]\nkeys: [/etc/a.pub, ../b.pub]")) == [
                "20: an entry of keys is \"/etc/a.pub\"; a path relative to the folder of this file is needed → write release.pub",
                "20: an entry of keys is \"../b.pub\"; it leads out of the folder of this file → write release.pub",
            ])
        #expect(
            hostProblems("require: [signature]\nkeys: [Release]") == [
                "2: an entry of keys is \"Release\"; the name of a key of this host or the absolute path of a PEM file is needed → write release"
            ])
        #expect(
            hostProblems("vulnerabilities: {feed: feed.json}") == [
                "1: feed is \"feed.json\"; a path that begins with / is needed → write feed: /var/lib/kiln/feed.json"
            ])
    }

    @Test func `the schema of a host's file in the repository is the one that the keys make`() throws {
        #expect(try Repository.golden("docs/policy.schema.json", is: HostPolicy.schema))
    }
}
