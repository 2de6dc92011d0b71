import Foundation
import Model
import TestKit
import Testing
import WireAPI

/// Tags of a real registry that move under a service which runs.
extension OnThisHost {
    @Suite struct TagTests {
        private func push(_ site: Site, _ tag: String, as name: String) {
            let pushed = shell(
                "skopeo copy -q --dest-tls-verify=false 'oci:\(site.folder)/empty:\(tag)' 'docker://\(name)'")
            #expect(pushed.status == 0, "\(pushed.output)")
        }

        @Test(.enabled(if: DockerRegistry.isInstalled, "skipped: no docker-registry"))
        func `a tag that is pushed again is told, and nothing that runs is touched`() async throws {
            let site = try Site()
            let made = shell(
                """
                set -e; cd '\(site.folder)'; umoci init --layout empty; umoci new --image empty:v1
                umoci config --image empty:v1 --architecture \(Architecture.native.rawValue)
                umoci config --image empty:v1 --tag v2 --config.env A=other
                """)
            #expect(made.status == 0, "\(made.output)")
            try site.addTestServer(
                "hello",
                """
                run:
                  port: 8080
                  health: {path: /}
                rollout:
                  watch: 0s
                  drain: 0s
                listen: 127.0.0.1:8000

                """)
            let registry = try await DockerRegistry()
            defer { registry.stop() }
            let name = "\(registry.address)/team/empty:stable"
            push(site, "v1", as: name)
            try site.edit("hello") {
                $0.replacing(
                    "  distribution: debian/bookworm\n  packages: [libc6]\n",
                    with: "  from: \"\(name)\"\n")
            }
            try site.start(with: ["--watch-tags", "1s"])
            let result = try site.deploy("hello")
            #expect(result.status == 0, "\(result.errors)")
            let before = try site.status()
            #expect(before.movedTags == nil)

            push(site, "v2", as: name)
            try eventually("the move is told") { try site.status().movedTags?.isEmpty == false }
            let after = try site.status()
            #expect(after.movedTags?.first?.subject == name)
            #expect(after.instances.map(\.id) == before.instances.map(\.id) && after.drifting == 0)
            let drift = try site.kiln("drift")
            #expect(drift.status == 0, "nothing that runs differs")
            #expect(drift.output.contains(name) && drift.output.contains("told"), "\(drift.output)")
            #expect(try site.kiln("status").output.contains("\(name) is another image now"))
            let ledger = try site.kiln("ledger", "show", "--kind", "drift")
            #expect(ledger.output.contains(name), "\(ledger.output)")

            push(site, "v1", as: name)
            try eventually("it is over") { try site.status().movedTags == nil }
            #expect(try site.kiln("drift").output.contains("nothing drifts"))
            site.stop()
            #expect(site.leftovers().isEmpty)
        }
    }
}
