import Foundation
import Model
import Testing
import WireAPI
import TestKit

/// The real program on this host: real packages, instances, proxy and page.
extension OnThisHost {
    @Suite struct MainJobTests {
        struct DemoAnswer: Decodable {
            var requests: Int
            var failed: Int
            var bakeColdSeconds: Double
            var bakeWarmSeconds: Double
            var launchMilliseconds: Int
            var switchMilliseconds: Int
            var rollbackMilliseconds: Int
        }

        @Test func `the demo's deploys, kill and rollback fail no request, and leave nothing behind`() throws
        {
            let result = try KilnProgram.run(
                ["demo", "--examples", KilnProgram.repository + "/examples", "--output", "json"])
            #expect(result.status == 0, "\(result.errors)")
            let answer = try result.decoded(DemoAnswer.self)
            #expect(answer.requests > 100)
            #expect(answer.failed == 0, "\(result.output)")
            #expect(shell("ls -d /tmp/kiln-demo-* 2>/dev/null").output.isEmpty)
        }

        @Test func `a release that crashes is rolled back with its last words, and the old one serves on`()
            throws
        {
            let site = try Site()
            try site.start()
            #expect(try site.deploy("v1").status == 0)
            #expect(site.page() == "v1")
            try site.edit("v2") {
                $0.replacing(#/(?m)^  command:.*$/#, with: "  command: [nginx, -c, /nowhere.conf]")
            }
            let result = try site.deploy("v2")
            #expect(result.status == 1)
            #expect(result.errors.contains("rolled back"), "\(result.errors)")
            #expect(result.errors.contains("nowhere.conf"), "\(result.errors)")
            #expect(site.page() == "v1")
            #expect(try site.status().current == ReleaseNumber(1))
            site.stop()
            #expect(site.leftovers().isEmpty)
        }

        @Test func `rollback restores config as well as the image, from a standby and without one`() throws {
            let site = try Site()
            for name in ["v1", "v2"] {
                try site.edit(name) {
                    $0.replacing("keep-standby: 1", with: "keep-standby: \(name == "v1" ? 1 : 0)")
                }
            }
            try site.start()
            #expect(try site.deploy("v1").status == 0)
            #expect(try site.deploy("v2").status == 0)
            #expect(site.page() == "v2")
            // r2 keeps no standby: r1 has to be launched again.
            try eventually("the old release is gone") {
                try site.status().instances.allSatisfy { $0.release.value == 2 }
            }
            #expect(try site.kiln("rollback", "hello").status == 0)
            #expect(site.page() == "v1")
            #expect(try site.kiln("rollback", "hello").status == 2, "there is nothing older")
            #expect(
                try site.kiln("rollback", "hello", "--to", "r2", "--message", "r1 is too old").status == 0)
            let told = try site.kiln("ledger", "show", "--service", "hello", "--output", "json").output
            #expect(
                told.contains(#""reason":"r1 is too old""#) || told.contains(#""reason" : "r1 is too old""#))
            #expect(site.page() == "v2")
            site.stop()
            #expect(site.leftovers().isEmpty)
        }

        @Test func `a port that somebody else has is refused, and says whose it is`() throws {
            let site = try Site()
            let other = Process()
            other.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            other.arguments = ["busybox", "httpd", "-f", "-p", "127.0.0.1:\(site.port)"]
            try other.run()
            defer {
                kill(other.processIdentifier, SIGKILL)
                other.waitUntilExit()
            }
            try site.start()
            let result = try site.deploy("v1")
            #expect(result.status == 1)
            #expect(result.errors.contains("\(site.port)"), "\(result.errors)")
            site.stop()
            #expect(site.leftovers().isEmpty)
        }

        @Test func `two daemons with two roots do not meet`() throws {
            let (one, other) = (try Site(), try Site())
            try one.start()
            try other.start()
            #expect(try one.deploy("v1").status == 0)
            #expect(try other.deploy("v2").status == 0)
            one.stop()
            #expect(one.leftovers().isEmpty)
            #expect(other.page() == "v2")
            #expect(try other.status().instances.allSatisfy { $0.health == .healthy || $0.weight == 0 })
            other.stop()
            #expect(other.leftovers().isEmpty)
        }

        @Test func `plan changes nothing, and says what a deploy would do`() throws {
            let site = try Site()
            try site.start()
            let result = try KilnProgram.run(
                ["plan", "--file", "\(site.folder)/v1/kiln.yaml", "--root", site.root, "--output", "json"])
            #expect(result.status == 0, "\(result.errors)")
            let plan = try result.decoded(PlanAnswer.self)
            #expect(plan.steps.count(where: { $0.hasPrefix("launch") }) == 3)
            #expect(plan.steps.contains { $0.hasPrefix("send all new requests") })
            #expect(try site.kiln("status", "--output", "json").decoded(StatusAnswer.self).services.isEmpty)
            site.stop()
            #expect(site.leftovers().isEmpty)
        }

        @Test func `scaling changes the number of serving instances both ways`() throws {
            let site = try Site()
            try site.start()
            #expect(try site.deploy("v1").status == 0)
            for count in [5, 2] {
                #expect(try site.kiln("scale", "hello", "\(count)").status == 0)
                try eventually("\(count) serve") {
                    let instances = try site.status().instances
                    return instances.count == count && instances.allSatisfy { $0.weight > 0 }
                }
            }
            site.stop()
            #expect(site.leftovers().isEmpty)
        }
    }
}
