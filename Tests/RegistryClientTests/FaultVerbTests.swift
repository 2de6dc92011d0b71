import Foundation
import Model
import TestKit
import Testing

/// Known faults of an image that came from elsewhere, by the verbs that people call.
@Suite struct FaultVerbTests {
    private final class Stage {
        let folder: TemporaryFolder
        var root: String { folder.path + "/root" }

        /// An image with two packages of Debian 12, in the store as `reg.example/app:v1`.
        init() throws {
            folder = try TemporaryFolder()
            let status = """
                Package: openssl
                Status: install ok installed
                Architecture: amd64
                Version: 3.0.0-1

                Package: liblzma5
                Status: install ok installed
                Source: xz-utils
                Architecture: amd64
                Version: 5.6.0-1

                """
            let config =
                #"{"os":"linux","architecture":"\#(Architecture.native.rawValue)","config":{"User":"1000:1000","Cmd":["/a"]},"#
                + #""rootfs":{"type":"layers","diff_ids":["sha256:ID"]}}"#
            let manifest =
                #"[{"Config":"config.json","RepoTags":["reg.example/app:v1"],"Layers":["layer.tar"]}]"#
            let made = shell(
                """
                cd '\(folder.path)' && mkdir -p fs/usr/lib fs/var/lib/dpkg \
                && printf 'ID=debian\\nVERSION_ID="12"\\n' > fs/usr/lib/os-release \
                && cat > fs/var/lib/dpkg/status <<'END'
                \(status)END
                tar -C fs -cf layer.tar . && id=$(sha256sum layer.tar | cut -d' ' -f1) \
                && printf '%s' '\(config)' | sed "s/ID/$id/" > config.json \
                && printf '%s' '\(manifest)' > manifest.json \
                && tar -cf image.tar manifest.json config.json layer.tar
                """)
            guard made.status == 0 else { throw Failure(.commandFailed, made.output) }
            let copied = kiln("image copy docker-archive:\(folder.path)/image.tar store:reg.example/app:v1")
            guard copied.status == 0 else { throw Failure(.commandFailed, copied.output) }
        }

        func kiln(_ arguments: String) -> (status: Int32, output: String) {
            shell(
                "unset KILN_KEYS; '\(ProgramTests.path)' \(arguments) --root '\(root)' < /dev/null 2>&1")
        }

        func write(_ name: String, _ text: String) throws {
            try text.write(toFile: "\(folder.path)/\(name)", atomically: true, encoding: .utf8)
        }

        func feed(_ fixed: String, urgency: String = "high") throws -> String {
            try write(
                "feed.json",
                #"{"xz-utils":{"CVE-2024-3094":{"releases":{"bookworm":{"status":"resolved","fixed_version":"\#(fixed)","urgency":"\#(urgency)"}}}}}"#
            )
            return folder.path + "/feed.json"
        }
    }

    @Test func `an image without known faults ends with 0, and one with a bad one with 1 and its name`()
        throws
    {
        let stage = try Stage()
        func list(_ fixed: String, _ more: String = "", urgency: String = "high") throws -> (Int32, String) {
            let feed = try stage.feed(fixed, urgency: urgency)
            let said = stage.kiln("image vulnerabilities reg.example/app:v1 --feed '\(feed)' \(more)")
            return (said.status, said.output.trimmingCharacters(in: .newlines))
        }
        #expect(try list("5.6.0-1") == (0, "0 known faults in 2 packages, 0 refused"))
        let row = "liblzma5  5.6.0-1  CVE-2024-3094  mended in 5.6.1-1"
        let one = "1 known fault in 2 packages"
        #expect(try list("5.6.1-1") == (1, "high  \(row)\n\(one), 1 refused"))
        #expect(try list("5.6.1-1", "--refuse critical") == (0, "high  \(row)\n\(one), 0 refused"))
        let unrated = "not yet assigned"
        #expect(try list("5.6.1-1", urgency: unrated) == (1, "not rated  \(row)\n\(one), 1 refused"))
        #expect(
            try list("5.6.1-1", "--unrated pass", urgency: unrated)
                == (0, "not rated  \(row)\n\(one), 0 refused"))
        let json = try list("5.6.1-1", "--output json")
        #expect(json.0 == 1)
        let answer = try JSONValue(parsing: Array(json.1.utf8))
        #expect(answer["refused"]?.elements?.first?["fixedIn"]?.text == "5.6.1-1")
        #expect(answer["tolerated"]?.elements == [])
        let wrong = try list("1", "--refuse unknown")
        #expect(wrong.0 == 2, "\(wrong.1)")
    }

    @Test func `a feed that is not there or cut off ends with 1 and its rule`() throws {
        let stage = try Stage()
        let missing = stage.kiln("image vulnerabilities reg.example/app:v1 --feed /nowhere/feed.json")
        #expect(
            missing.status == 1 && missing.output.contains("rule feed: there is no feed"), "\(missing.output)"
        )
        try stage.write("cut.json", #"{"xz-utils":{"CVE-1":{"releases":{"bookworm":{"#)
        let cut = stage.kiln(
            "image vulnerabilities reg.example/app:v1 --feed '\(stage.folder.path)/cut.json'")
        #expect(cut.status == 1 && cut.output.contains("rule feed:"), "\(cut.output)")
    }

    @Test
    func `verify holds an image of the store to the faults of a policy, and says what may pass till when`()
        throws
    {
        let stage = try Stage()
        let feed = try stage.feed("5.6.1-1")
        func verify(_ except: String = "", _ more: String = "") throws -> (status: Int32, output: String) {
            try stage.write("policy.yaml", "vulnerabilities:\n  feed: \(feed)\n  except: [\(except)]\n")
            return stage.kiln(
                "verify store:reg.example/app:v1 --policy '\(stage.folder.path)/policy.yaml' \(more)")
        }
        let refused = try verify()
        #expect(
            refused.status == 1
                && refused.output.contains(
                    "rule vulnerable: liblzma5 5.6.0-1 has CVE-2024-3094: high, mended in 5.6.1-1"),
            "\(refused.output)")
        #expect(try verify("", "--refuse critical").status == 0)
        let day = "2999-01-01"
        let passed = try verify("{id: CVE-2024-3094, package: xz-utils, until: \(day), reason: not reached}")
        #expect(
            passed.status == 0
                && passed.output.contains(
                    "CVE-2024-3094 in liblzma5 may pass until 2999-01-01T00:00:00.000Z: not reached"),
            "\(passed.output)")
        let over = try verify("{id: CVE-2024-3094, until: 2020-01-01, reason: not reached}")
        #expect(over.status == 1 && over.output.contains("rule vulnerable:"), "\(over.output)")
    }
}
