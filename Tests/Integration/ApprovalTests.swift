import Foundation
import Model
import TestKit
import Testing
import WireAPI

/// Signed approvals by the real program and daemon, and openssl over what the history keeps.
extension OnThisHost {
    @Suite(.serialized) struct ApprovalTests {
        private static func settings(_ port: Int) -> String {
            """
            run:
              replicas: 1
              port: 8080
              health: {path: /health, interval: 200ms}
            rollout:
              before-switch:
                - {approval: {name: go-live, by: [alice, bob], count: 2}, timeout: 10m}
              watch: 1s
              drain: 1s
            listen: 127.0.0.1:8000

            """
        }

        private func key(_ site: Site, _ name: String, _ role: String, in folder: String) throws {
            let made = try site.kiln(
                "key", "generate", name, "--role", role, "--no-passphrase", "--keys", folder)
            try #require(made.status == 0, "\(made.errors)")
        }

        private func approvals(_ site: Site) throws -> [Note] {
            let history = try site.kiln("history", "hello", "--events", "--output", "json")
            return try history.decoded(HistoryAnswer.self).events.map(\.note).filter { $0.kind == .approved }
        }

        @Test func `a rollout waits for two signatures: one made here, one on another machine`() throws {
            let site = try Site()
            try site.addTestServer("gated", Self.settings(site.port))
            let (here, elsewhere) = (site.root + "/keys", site.folder + "/elsewhere")
            try key(site, "alice", "deploy", in: here)
            try key(site, "ci", "build", in: here)
            // The private half of bob's key never comes to the host.
            try key(site, "bob", "deploy", in: elsewhere)
            let found = shell("ls '\(elsewhere)'/bob-*.pub")
            let half = found.output.trimmingCharacters(in: .whitespacesAndNewlines)
            let trusted = try site.kiln("key", "trust", "bob", half, "--role", "deploy")
            try #require(trusted.status == 0, "\(trusted.errors)")
            try site.start()
            try site.edit("gated") { $0.replacing("alice, bob", with: "alice, nobody") }
            let unknown = try site.deploy("gated")
            #expect(
                unknown.status == 1 && unknown.errors.contains("this host trusts no deploy key of nobody"))
            try site.edit("gated") { $0.replacing("alice, nobody", with: "alice, bob") }
            try #require(try site.deploy("gated", "--detach").status == 0)
            try eventually("it asks") { try site.status().rollout?.openApproval != nil }

            let plain = try site.kiln("rollout", "approve", "hello")
            #expect(
                plain.status == 1 && plain.errors.contains("takes a signed approval by 2 of alice and bob"))
            #expect(plain.errors.contains("kiln rollout approve hello --gate go-live --key alice|bob"))
            let wrong = try site.kiln("rollout", "approve", "hello", "--key", "ci")
            #expect(wrong.status == 1 && wrong.errors.contains("this is a build key"))
            let promoted = try site.kiln("rollout", "promote", "hello")
            #expect(promoted.status != 0)

            let first = try site.kiln(
                "rollout", "approve", "hello", "--key", "alice", "--message", "seen in staging")
            #expect(first.status == 0 && first.output.contains("1 of 2: alice"), "\(first.errors)")
            #expect(try site.kiln("rollout", "status", "hello").output.contains("1 of 2: alice"))
            let again = try site.kiln("rollout", "approve", "hello", "--key", "alice")
            #expect(again.status == 2 && again.errors.contains("one person counts once"))

            let socket =
                "curl -s --unix-socket '\(site.root)/kiln.sock' http://kiln/v1/services/hello/rollout/approve"
            let noBase64 = shell(socket + " -d '{\"approval\":\"*\"}'")
            #expect(noBase64.output.contains("the approval is no base64"), "\(noBase64.output)")
            let noEnvelope = shell(socket + " -w '%{http_code}' -d '{\"approval\":\"e30=\"}'")
            #expect(noEnvelope.output.hasSuffix("400") && noEnvelope.output.contains("malformed-evidence"))

            let (request, approval) = (site.folder + "/request.json", site.folder + "/approval.json")
            #expect(try site.kiln("rollout", "request", "hello", "--save", request).status == 0)
            let signed = try site.kiln(
                "approval", "sign", request, "--key", "bob", "--keys", elsewhere, "--save", approval)
            try #require(signed.status == 0, "\(signed.errors)")
            #expect(
                shell("sed -i 's/sig\":\"MEU/sig\":\"MEQ/;s/payload\":\"ey/payload\":\"eZ/' '\(approval)'")
                    .status == 0)
            let altered = try site.kiln("rollout", "approve", "hello", "--approval", approval)
            #expect(altered.status == 1 && altered.errors.contains("does not count"), "\(altered.errors)")
            _ = try site.kiln(
                "approval", "sign", request, "--key", "bob", "--keys", elsewhere, "--save", approval)
            let second = try site.kiln("rollout", "approve", "hello", "--approval", approval)
            #expect(second.status == 0, "\(second.errors)")
            try eventually("r1 serves") { try site.status().current?.value == 1 }

            let notes = try approvals(site)
            #expect(notes.map { $0.details["name"] } == ["alice", "bob"])
            try (notes.last?.details["envelope"] ?? "").write(
                toFile: site.folder + "/kept.json", atomically: true, encoding: .utf8)
            let verified = shell(
                """
                cd '\(site.folder)' && field() { sed -E "s/.*\\"$1\\":\\"([^\\"]*)\\".*/\\1/" kept.json; }
                field payload | base64 -d > body; field sig | base64 -d > signature
                T=application/vnd.in-toto+json
                { printf 'DSSEv1 %d %s %d ' ${#T} $T $(wc -c < body); cat body; } > signed
                openssl dgst -sha256 -verify '\(half)' -signature signature signed
                """)
            #expect(verified.output.contains("Verified OK"), "\(verified.output)")

            // A replay: the next rollout asks anew, for another plan.
            try #require(try site.deploy("gated", "--detach", "--force").status == 0)
            try eventually("it asks again") { try site.status().rollout?.openApproval != nil }
            let replay = try site.kiln("rollout", "approve", "hello", "--approval", approval)
            #expect(replay.status == 1)
            #expect(replay.errors.contains("it is for rollout 1, and this is rollout 2"), "\(replay.errors)")
            // A revocation counts at once: the daemon reads its keys each time.
            #expect(try site.kiln("rollout", "approve", "hello", "--key", "alice").status == 0)
            #expect(try site.kiln("key", "revoke", "alice", "--reason", "laptop lost").status == 0)
            #expect(try site.kiln("rollout", "request", "hello", "--save", request).status == 0)
            _ = try site.kiln(
                "approval", "sign", request, "--key", "bob", "--keys", elsewhere, "--save", approval)
            let alone = try site.kiln("rollout", "approve", "hello", "--approval", approval)
            #expect(
                alone.status == 0 && alone.output.contains("1 of 2: bob"), "\(alone.output)\(alone.errors)")
            #expect(try site.status().current?.value == 1)
            #expect(try site.kiln("rollout", "abort", "hello").status == 0)
        }
    }
}
