import Foundation
import Model
import Testing
import WireAPI
import TestKit

/// Servers of Debian's packages, in service: what they need is in their images, and a read-only root is enough.
extension OnThisHost {
    @Suite struct ServerSetTests {
        private static let chosen: [ServerSet] = {
            let all = ProcessInfo.processInfo.environment["KILN_ALL_PACKAGES"] != nil
            return ServerSet.all.filter { all || $0.isQuick }
        }()

        @Test(arguments: [("runc", without: "crun"), ("crun", without: "runc")])
        func `servers of every kind start read-only under either runtime, and answer`(
            _ runtime: String, without other: String
        ) throws {
            let site = try Site()
            try site.start(without: other)
            for set in Self.chosen {
                do {
                    try serve(set, by: runtime, at: site)
                } catch {
                    Issue.record("\(set.name): \(error)")
                }
            }
            site.stop()
            #expect(site.leftovers() == [])
        }

        private func serve(_ set: ServerSet, by runtime: String, at site: Site) throws {
            try site.copySet(set.name)
            try set.prepare(site, "\(site.folder)/\(set.name)")
            let deployed = try site.deploy(set.name)
            guard deployed.status == 0 else { throw Failure(.launchFailed, deployed.errors) }
            let answer = try set.ask(site.port) ?? "nothing"
            #expect(answer.contains(set.answer), "\(set.name) says \(answer)")
            let roots = try roots(of: set.name, by: runtime, at: site)
            #expect(!roots.isEmpty && roots.allSatisfy { $0.hasPrefix("ro,") }, "\(set.name): \(roots)")
            let drifts = shell("find \(site.root)/instances -name drifts.json -exec cat {} +").output
            #expect(drifts == "", "\(set.name) runs as it was launched: \(drifts)")
            #expect(try site.kiln("retire", set.name).status == 0)
        }

        /// How the root is mounted in every process of a service's instances, all of which the runtime has to have made,
        /// with users of their own where it can.
        private func roots(of service: String, by runtime: String, at site: Site) throws -> [String] {
            let status = try site.kiln("status", service, "--output", "json").decoded(StatusAnswer.self)
            return try status.services[0].instances.flatMap { instance in
                let seen = try site.kiln("inspect", instance.id.text, "--output", "json")
                    .decoded(ConfinementAnswer.self).confinement
                #expect(seen.runtime == runtime && seen.users.isEmpty == (runtime == "runc"), "\(seen)")
                let mounts = shell(
                    """
                    for process in $(grep -l '/\(instance.id)$' /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3); do \
                    awk '$5 == "/" { print $6 }' /proc/$process/mountinfo; done
                    """)
                return mounts.output.split(separator: "\n").map(String.init)
            }
        }
    }
}
