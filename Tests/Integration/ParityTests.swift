import Foundation
import Model
import TestKit
import Testing
import WireAPI

/// What differs: between environments, between releases, and between the spec in Git and what runs.
extension OnThisHost {
    @Suite(.serialized) struct ParityTests {
        private static let settings = """
            run: {replicas: 1, port: 8080, health: {path: /health, interval: 200ms}, config: {MOOD: good}}
            rollout: {watch: 1s, drain: 1s}

            """

        private func decoded(_ text: String) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }

        @Test func `environments and releases are told apart field by field, and inside their images`() throws
        {
            let site = try Site()
            try site.addTestServer("server", Self.settings)
            try site.start()
            for environment in ["staging", "production"] {
                let deployed = try site.deploy("server", "--environment", environment)
                try #require(deployed.status == 0, "\(deployed.errors)")
            }
            let same = try site.kiln("diff", "staging", "production")
            #expect(same.status == 0 && same.output == "nothing differs\n", "\(same.output)\(same.errors)")

            try "hello\n".write(toFile: "\(site.folder)/server/note", atomically: true, encoding: .utf8)
            try site.edit("server") {
                $0.replacing("MOOD: good", with: "MOOD: bad")
                    .replacing("files: [", with: "files: [{from: note, to: /usr/share/note}, ")
            }
            try #require(try site.deploy("server", "--environment", "staging").status == 0)
            let differ = try site.kiln("diff", "staging", "production", "hello")
            #expect(differ.status == 1, "\(differ.errors)")
            #expect(differ.output.contains("run.config.MOOD: bad → good"), "\(differ.output)")
            #expect(differ.output.contains("- /usr/share/note"), "\(differ.output)")
            let releases = try site.kiln("diff", "hello@staging", "r1", "r2", "--output", "json")
            #expect(releases.status == 1)
            let service = try #require(try decoded(releases.output)["services"] as? [[String: Any]]).first
            #expect((service?["changes"] as? [[String: Any]])?.count == 2, "\(releases.output)")
            #expect(service?["image"] != nil)
            let but = try site.kiln(
                "diff", "hello@staging", "r1", "r2", "--except", "run.config", "--except", "image")
            #expect(but.status == 0, "\(but.output)")
            #expect(try site.kiln("diff", "hello@staging", "r1", "r9").status == 2)
            #expect(try site.kiln("diff", "here", "there").status == 2)
        }

        @Test func `drift ends with 0 where nothing drifts, and with 3 without a daemon`() throws {
            let site = try Site()
            #expect(try site.kiln("drift").status == 3)
            try site.start()
            let drift = try site.kiln("drift")
            #expect(drift.status == 0 && drift.output == "nothing drifts\n", "\(drift.output)\(drift.errors)")
            let watch = try KilnProgram.start(["drift", "--watch", "--root", site.root])
            try eventually("it shows something") {
                try !String(contentsOfFile: watch.folder + "/out", encoding: .utf8).isEmpty
            }
            kill(watch.process.processIdentifier, SIGINT)
            #expect(try KilnProgram.finish(watch).status == 0)
        }

        @Test func `status says where the spec beside it is ahead of what runs, or other than it`() throws {
            let site = try Site()
            try site.addTestServer("server", Self.settings)
            let folder = site.folder + "/server"
            func git(_ command: String) throws {
                let ran = shell("cd '\(folder)' && git -c user.name=t -c user.email=t@t \(command)")
                try #require(ran.status == 0, "\(ran.output)")
            }
            func status() throws -> String {
                try KilnProgram.run(["status", "--root", site.root], folder: folder).errors
            }
            try git("init -q . && git add -A && git -c user.name=t -c user.email=t@t commit -qm one")
            try site.start()
            try #require(try site.deploy("server").status == 0)
            // The lock that the bake wrote is the first thing that is in no commit.
            try git("add -A && git -c user.name=t -c user.email=t@t commit -qm lock")
            let ahead = try status()
            #expect(ahead.contains("1 commit ahead of r1 of hello"), "\(ahead)")
            try site.edit("server") { $0.replacing("replicas: 1", with: "replicas: 2") }
            let changed = try status()
            #expect(changed.contains("differs from r1 of hello in run.replicas"), "\(changed)")
            try git("add -A && git -c user.name=t -c user.email=t@t commit -qm two")
            try #require(try site.deploy("server").status == 0)
            let same = try status()
            #expect(same.isEmpty, "\(same)")
        }
    }
}
