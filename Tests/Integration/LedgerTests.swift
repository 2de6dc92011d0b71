import Foundation
import Model
import Ports
import Storage
import TestKit
import Testing

/// The ledger as people and machines use it: verbs, files elsewhere, and a daemon that looks at its past first.
extension OnThisHost {
    @Suite struct LedgerTests {
        private final class Root {
            let folder = NSTemporaryDirectory() + "kiln-ledger-\(UUID().uuidString)"
            var root: String { folder + "/root" }
            var elsewhere: String { folder + "/elsewhere/checkpoint" }

            init() throws {
                for name in ["root", "elsewhere"] {
                    try FileManager.default.createDirectory(
                        atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
                }
            }

            deinit { try? FileManager.default.removeItem(atPath: folder) }

            func kiln(_ arguments: String...) throws -> KilnProgram.Result {
                try KilnProgram.run(arguments + ["--root", root])
            }

            var size: Int { get throws { try LedgerFile.reading(root + "/kiln.db").head().size } }

            func append(_ entries: [LedgerEntry]) async throws {
                try await LedgerFile(root + "/kiln.db").append(entries)
            }

            /// The daemon, until it serves or ends; what it said, and whether it serves.
            func serve(_ body: () throws -> Void = {}) throws -> (serves: Bool, status: Int32, errors: String)
            {
                let started = try KilnProgram.start(
                    ["serve", "--root", root, "--checkpoint-file", elsewhere])
                defer { if started.process.isRunning { kill(started.process.processIdentifier, SIGKILL) } }
                var serves = false
                try eventually("the daemon serves or ends") {
                    serves = try kiln("status").status == 0
                    return serves || !started.process.isRunning
                }
                if serves { try body() }
                if started.process.isRunning { kill(started.process.processIdentifier, SIGTERM) }
                let result = try KilnProgram.finish(started)
                return (serves, result.status, result.errors)
            }
        }

        private static let now = Instant("2026-03-01T12:00:00Z")!
        private static let image = try! Digest(hex: String(repeating: "a1", count: 32))

        private static func entries(_ range: Range<Int>) -> [LedgerEntry] {
            range.map {
                LedgerEntry(
                    .gate, "entry \($0)", at: now + .seconds($0), by: "uid:7",
                    service: ServiceKey(try! ServiceName($0 % 2 == 0 ? "web" : "api")))
            }
        }

        @Test func `the daemon signs what is logged, and refuses to start on a log that lost it`()
            async throws
        {
            let root = try Root()
            let first = try root.serve()
            #expect(first.serves && first.status == 0, "\(first.errors)")
            let keys = try FileManager.default.contentsOfDirectory(atPath: root.root + "/keys")
            let key = try #require(keys.first { $0.hasPrefix("ledger-") && $0.hasSuffix(".key") })
            let mode = try FileManager.default.attributesOfItem(atPath: "\(root.root)/keys/\(key)")[
                .posixPermissions]
            #expect(mode as? Int == 0o600)
            #expect(
                try root.kiln("ledger", "show", "--kind", "key").output.contains(
                    "a key for the ledger was made"))

            // A copy of the state as somebody would keep it.
            #expect(shell("cp -a '\(root.root)' '\(root.folder)/copy'").status == 0)
            let kept = try root.size
            try await root.append(LedgerTests.entries(0..<40))
            let second = try root.serve {
                // What the daemon itself logs as it begins is signed too.
                try eventually("a checkpoint is elsewhere") {
                    let size = try root.size
                    return size > kept + 40
                        && (try? String(contentsOfFile: root.elsewhere, encoding: .utf8))?
                            .contains("\n\(size)\n") ?? false
                }
            }
            let size = try root.size
            #expect(second.serves && second.status == 0, "\(second.errors)")
            #expect(try root.kiln("ledger", "verify", "--checkpoint", root.elsewhere).status == 0)

            #expect(shell("rm -r '\(root.root)' && mv '\(root.folder)/copy' '\(root.root)'").status == 0)
            let third = try root.serve()
            #expect(!third.serves && third.status == 1)
            #expect(
                third.errors.contains("tells of \(size): the last \(size - kept) are missing")
                    && third.errors.contains("→"), "\(third.errors)")
            let verify = try root.kiln("ledger", "verify", "--checkpoint", root.elsewhere)
            #expect(
                verify.status == 1 && verify.errors.contains("the last \(size - kept) entries of \(size)"),
                "\(verify.errors)")
            // Without that file nobody could tell.
            #expect(try root.kiln("ledger", "verify").status == 0)
            // Another log that is as long is none either.
            try await root.append(LedgerTests.entries(100..<150))
            let fourth = try root.serve()
            #expect(!fourth.serves && fourth.errors.contains("rewritten"), "\(fourth.errors)")
        }

        @Test func `the verbs show, prove, export and sign, with the daemon stopped`() async throws {
            let root = try Root()
            let none = try root.kiln("ledger", "show")
            #expect(none.status == 2 && none.errors.contains("there is no ledger yet"))
            #expect(try root.kiln("ledger", "checkpoint").status == 2)
            #expect(!FileManager.default.fileExists(atPath: root.root + "/kiln.db"))
            try await root.append(LedgerTests.entries(0..<1200))

            let shown = try root.kiln(
                "ledger", "show", "--service", "web", "--limit", "3", "--output", "json")
            let rows = try #require(
                try JSONSerialization.jsonObject(with: Data(shown.output.utf8)) as? [[String: Any]])
            #expect(rows.compactMap { $0["number"] as? Int } == [1194, 1196, 1198])
            let all = try root.kiln("ledger", "show", "--limit", "5000", "--output", "json")
            let count = (try JSONSerialization.jsonObject(with: Data(all.output.utf8)) as? [Any])?.count
            #expect(count == 1200)
            let since = LedgerTests.now + .seconds(1190)
            #expect(
                try root.kiln("ledger", "show", "--since", "\(since)").output.split(separator: "\n").count
                    == 10)
            #expect(try root.kiln("ledger", "show", "--since", "whenever").status == 2)
            #expect(try root.kiln("ledger", "show", "--kind", "nothing").status == 2)
            #expect(try root.kiln("ledger", "show", "--service", "none").output == "")
            #expect(
                try root.kiln("ledger", "show", "--service", "none", "--output", "json").output == "[\n]\n")

            let signed = try root.kiln(
                "ledger", "checkpoint", "--file", root.elsewhere, "--ledger-name", "test.example/log",
                "--output", "json")
            #expect(signed.status == 0, "\(signed.errors)")
            struct Signed: Decodable { var origin: String; var size: Int; var key: String }
            let checkpoint = try signed.decoded(Signed.self)
            // The key that was made for it is an entry too.
            #expect(checkpoint.origin == "test.example/log" && checkpoint.size == 1201)
            #expect(try root.kiln("ledger", "checkpoint", "--file", root.folder + "/none/c").status == 2)
            #expect(try root.kiln("ledger", "checkpoint", "--witness", "http://127.0.0.1:9").status == 2)

            for arguments in [[], ["--key", checkpoint.key]] {
                let verified = try KilnProgram.run(
                    ["ledger", "verify", "--checkpoint", root.elsewhere, "--root", root.root] + arguments)
                #expect(
                    verified.status == 0 && verified.output.contains("1201 entries"), "\(verified.errors)")
            }
            let stranger = try root.kiln("ledger", "verify", "--checkpoint", root.folder + "/none")
            #expect(stranger.status == 2)

            let proof = try root.kiln("ledger", "prove", "700", "--entry", root.folder + "/entry")
            #expect(proof.status == 0, "\(proof.errors)")
            try proof.output.write(toFile: root.folder + "/proof", atomically: true, encoding: .utf8)
            #expect(try root.kiln("ledger", "prove", "5000").status == 2)
            #expect(try root.kiln("ledger", "export", root.folder + "/export").status == 0)
            #expect(
                try root.kiln("ledger", "export", root.folder + "/export").output.contains("1 file written"))
            if GoChecker.isThere {
                let go = try GoChecker()
                #expect(go.check(root.folder + "/export", checkpoint.key).status == 0)
                let said = go.check(proof: root.folder + "/proof", of: root.folder + "/entry", checkpoint.key)
                #expect(said.output == "entry 700 of 1201\n")
            }
        }

        @Test func `what is done to keys of a root folder is logged, and to keys elsewhere is not`() throws {
            let root = try Root()
            let elsewhere = root.folder + "/keys"
            func key(_ arguments: String...) throws {
                let result = try KilnProgram.run(["key"] + arguments + ["--root", root.root])
                #expect(result.status == 0, "\(result.errors)")
            }
            try key("generate", "ci", "--role", "build", "--no-passphrase", "--keys", elsewhere)
            #expect(try root.kiln("ledger", "show").status == 2)
            try key("generate", "ci", "--role", "build", "--no-passphrase")
            try key("rotate", "ci", "--no-passphrase")
            let unsure = try root.kiln("key", "revoke", "ci", "--reason", "which of the two?")
            #expect(unsure.status == 2 && unsure.errors.contains("--all"), "\(unsure.errors)")
            try key("revoke", "ci", "--all", "--reason", "laptop lost")
            // A key that was made elsewhere is trusted by an act of somebody here, and cannot be rotated here.
            try key("generate", "bob", "--role", "deploy", "--no-passphrase", "--keys", elsewhere)
            let half = root.folder + "/bob.pub"
            let shownKey = try root.kiln("key", "show", "bob", "--keys", elsewhere)
            try shownKey.output.write(toFile: half, atomically: true, encoding: .utf8)
            try key("trust", "bob", half, "--role", "deploy")
            #expect(try root.kiln("key", "rotate", "bob", "--no-passphrase").status != 0)
            let shown = try root.kiln("ledger", "show", "--output", "json").output
            let rows = try #require(
                try JSONSerialization.jsonObject(with: Data(shown.utf8)) as? [[String: Any]])
            let acts = rows.compactMap { ($0["details"] as? [String: String])?["act"] }
            #expect(acts == ["generate", "rotate", "revoke", "revoke", "trust"])
            #expect(rows[3]["reason"] as? String == "laptop lost")
            #expect(rows.allSatisfy { $0["by"] as? String == "uid:\(geteuid())" })
        }

        @Test func `where an image ran is told from the ledger, and what could not be asked is said`()
            async throws
        {
            let root = try Root()
            let web = ServiceKey(try ServiceName("web"))
            let release = ReleaseNumber(1)
            let instance = InstanceID(web, release: release, ordinal: 1)
            func entry(_ kind: LedgerEntry.Kind, _ seconds: Int, step: String? = nil) -> LedgerEntry {
                LedgerEntry(
                    kind, "x", at: LedgerTests.now + .seconds(seconds),
                    by: kind == .deploy ? "uid:1000" : "kiln",
                    service: web, release: release, instance: step == nil ? nil : instance,
                    image: kind == .deploy ? LedgerTests.image : nil,
                    details: step.map { ["step": $0] } ?? [:])
            }
            try await root.append([
                entry(.deploy, 0), entry(.intent, 1, step: "launch"), entry(.outcome, 2, step: "launch"),
            ])
            struct Answer: Decodable {
                struct Use: Decodable {
                    var by: String; var since: Instant; var until: Instant?; var instances: Int
                }
                var uses: [Use]; var gone: [String]
            }
            func who(_ what: String) throws -> Answer {
                let result = try root.kiln("ledger", "who", what, "--output", "json")
                #expect(result.status == 0, "\(result.errors)")
                return try result.decoded(Answer.self)
            }
            let running = try #require(try who("\(LedgerTests.image)").uses.first)
            #expect(running.by == "uid:1000" && running.since == LedgerTests.now && running.until == nil)
            try await root.append([entry(.intent, 8, step: "remove"), entry(.outcome, 9, step: "remove")])
            let gone = try #require(try who("\(LedgerTests.image)").uses.first)
            #expect(gone.until == LedgerTests.now + .seconds(9) && gone.instances == 1)
            #expect(try who("openssl@3.0").gone == ["\(LedgerTests.image)"])
            let file = try root.kiln("ledger", "who", "sha256:\(String(repeating: "b2", count: 32))")
            #expect(
                file.output.contains("has never run here") && file.errors.contains("1 of 1 images are gone"))
            #expect(try root.kiln("ledger", "who", "nothing").status == 2)
        }

        @Test func `a package and a file are found in the images that the ledger names and the store has`()
            async throws
        {
            let site = try Site()
            let spec = site.folder + "/v1/kiln.yaml"
            let baked = try KilnProgram.run(["bake", "--file", spec, "--root", site.root])
            #expect(baked.status == 0, "\(baked.errors)")
            let image = try Digest(parsing: String(baked.output.prefix { $0 != " " }))
            let gone = LedgerTests.image
            let ledger = try LedgerFile(site.root + "/kiln.db")
            for (number, image) in [gone, image].enumerated() {
                try await ledger.append([
                    LedgerEntry(
                        .deploy, "released", at: LedgerTests.now, by: "uid:1000",
                        service: ServiceKey(try ServiceName("hello")), release: ReleaseNumber(number + 1),
                        image: image)
                ])
            }
            struct Layer: Decodable { var packages: [InstalledPackage] }
            let tree = try site.kiln("image", "tree", "\(image)", "--output", "json").decoded([Layer].self)
            let package = try #require(tree.flatMap(\.packages).first { $0.name == "nginx-light" })
            let file = shell("sha256sum '\(site.folder)/v1/nginx.conf' | cut -c1-64 | tr -d '\\n'").output
            struct Answer: Decodable {
                struct Use: Decodable { var image: String; var release: ReleaseNumber }
                var uses: [Use]; var gone: [String]; var lookedInto: Int
            }
            for what in ["nginx-light@\(package.version)", "sha256:\(file)"] {
                let answer = try site.kiln("ledger", "who", what, "--output", "json").decoded(Answer.self)
                #expect(
                    answer.uses.map(\.image) == ["\(image)"]
                        && answer.uses.map(\.release) == [ReleaseNumber(2)])
                #expect(answer.gone == ["\(gone)"] && answer.lookedInto == 1)
            }
            #expect(try site.kiln("ledger", "who", "nginx-light@0.1").output.contains("has never run here"))
            #expect(try site.kiln("ledger", "who", "hello").output.contains("r2"))
        }
    }
}
