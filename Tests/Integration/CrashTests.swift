import Foundation
import Model
import Testing
import WireAPI
import TestKit

/// `kill -9` at many moments, on the real host.
extension OnThisHost {
    @Suite struct CrashTests {
        /// Milliseconds after the beginning of a deploy.
        static let moments = [0, 30, 60, 90, 120, 160, 200, 300, 500, 900]

        @Test
        func `a daemon killed during a deploy is taken up by the next: one release whole, nothing orphaned`()
            throws
        {
            let site = try Site()
            try site.start()
            #expect(try site.deploy("v1").status == 0)
            for (round, moment) in CrashTests.moments.enumerated() {
                let next = round.isMultiple(of: 2) ? "v2" : "v1"
                let deploy = try KilnProgram.start(
                    ["deploy", "--file", "\(site.folder)/\(next)/kiln.yaml", "--root", site.root, "--detach"])
                Thread.sleep(forTimeInterval: Double(moment) / 1000)
                site.killDaemon()
                _ = try KilnProgram.finish(deploy)
                #expect(!site.page().isEmpty, "traffic goes on without a daemon")
                try site.start()
                try eventually("settled after a kill at \(moment) ms") {
                    let status = try site.status()
                    let serving = status.instances.filter { $0.weight > 0 }
                    let wanted = 3 * (1 + status.standbys.count)
                    return status.rollout == nil && serving.count == 3 && status.instances.count == wanted
                        && serving.allSatisfy { $0.release == status.current }
                }
                #expect(!site.page().isEmpty)
            }
            site.stop()
            #expect(site.leftovers().isEmpty)
        }

        @Test func `a bake killed at any moment leaves a store that bakes the same image`() throws {
            let site = try Site()
            let spec = "\(site.folder)/v1/kiln.yaml"
            func bake() throws -> String {
                let result = try KilnProgram.run(["bake", "--file", spec, "--root", site.root])
                #expect(result.status == 0, "\(result.errors)")
                return String(result.output.prefix { $0 != " " })
            }
            let digest = try bake()
            for moment in [20, 60, 120, 250, 500, 900] {
                shell("rm -rf '\(site.root)/store/cache' '\(site.root)/store/images'")
                let started = try KilnProgram.start(["bake", "--file", spec, "--root", site.root])
                Thread.sleep(forTimeInterval: Double(moment) / 1000)
                kill(started.process.processIdentifier, SIGKILL)
                _ = try KilnProgram.finish(started)
                #expect(try bake() == digest)
            }
        }

        @Test func `a proxy that is killed comes back with the same traffic`() throws {
            let site = try Site()
            try site.start()
            #expect(try site.deploy("v1").status == 0)
            #expect(try site.deploy("v2").status == 0)
            shell("pkill -9 -f '^haproxy .*\(site.folder)/' || pkill -9 -f 'haproxy.*\(site.folder)/'")
            try eventually("the page is back") { site.page() == "v2" }
            site.stop()
            #expect(site.leftovers().isEmpty)
        }
    }
}
