import Model
import Testing

@testable import SpecFile

@Suite struct FileKeysTests {
    private static let hash = String(repeating: "a", count: 64)
    private static let commit = String(repeating: "b", count: 40)

    private func rule(_ text: String) throws -> FileRule {
        try SpecFile.parse(SoundSpec.with(line: 6, "  files: [\(text)]"), file: "kiln.yaml").image.files[0]
    }

    @Test func `a download is read with how it is unpacked`() throws {
        let digest = try Digest(hex: FileKeysTests.hash)
        let file = try rule("{url: https://x.example/a/tool?v=1, sha256: \(FileKeysTests.hash), to: /opt/}")
        #expect(
            file
                == FileRule(
                    .download(Download(url: "https://x.example/a/tool?v=1", sha256: digest)), to: "/opt/tool")
        )
        let archive = try rule(
            "{url: file:///a.tgz, sha256: \(FileKeysTests.hash), to: /opt/, extract: true, strip: 1, owner: a:b}"
        )
        #expect(
            archive
                == FileRule(
                    .download(
                        Download(url: "file:///a.tgz", sha256: digest, unpacking: .init(strip: 1))),
                    to: "/opt", owner: "a:b"))
    }

    @Test(arguments: [
        ("src/site", "/srv/www/", "/srv/www/site"), ("src/site/", "/srv/www/", "/srv/www"),
        ("src/site", "/srv/www", "/srv/www"), (nil, "/srv/www/", "/srv/www"),
    ])
    func `a part of a repository goes where a folder beside the spec would`(
        path: String?, to: String, target: String
    ) throws {
        let rule = try rule(
            "{git: https://x.example/a.git, ref: v1.2, to: \(to)\(path.map { ", path: \($0)" } ?? "")}")
        #expect(
            rule
                == FileRule(
                    .checkout(
                        Checkout(
                            repository: "https://x.example/a.git", revision: .ref("v1.2"), path: path ?? "./")
                    ),
                    to: target))
    }

    @Test(arguments: [
        ("{to: /x}", ["an entry of files has no from"]),
        ("{from: a, url: https://x.example/a, sha256: \(hash), to: /x}", ["from and url are both given"]),
        ("{url: https://x.example/a, to: /x}", ["an entry of files has no sha256"]),
        (
            "{url: https://x.example/a, sha256: abc, to: /x}",
            ["sha256 is \"abc\"; 64 digits 0-9 a-f are needed"]
        ),
        (
            "{url: ftp://x/a, sha256: \(hash), to: /x}",
            ["url is \"ftp://x/a\"; an address that begins with http://, https:// or file:/// is needed"]
        ),
        (
            "{url: \"https://me:secret@x.example/a\", sha256: \(hash), to: /x}",
            ["url holds a user name or password"]
        ),
        (
            "{url: https://x.example/a, sha256: \(hash), to: /x, strip: 1}",
            ["strip is given, but the file is not unpacked"]
        ),
        (
            "{from: a, to: /x, extract: true, ref: v1}",
            ["extract is given, but no url", "ref is given, but no git"]
        ),
        ("{git: https://x.example/a, to: /x}", ["a Git repository is given, but no commit"]),
        ("{git: https://x.example/a, commit: \(commit), ref: v1, to: /x}", ["commit and ref are both given"]),
        (
            "{git: https://x.example/a, commit: abc123, to: /x}",
            ["commit is \"abc123\"; the 40 digits of a commit are needed"]
        ),
        (
            "{git: https://x.example/a, ref: --upload-pack=x, to: /x}",
            ["ref is \"--upload-pack=x\"; the name of a branch or tag is needed"]
        ),
        (
            "{git: \"ext::sh -c id\", ref: v1, to: /x}",
            [
                "git is \"ext::sh -c id\"; an address that begins with https://, http://, ssh://, git:// or file:/// is needed"
            ]
        ),
        (
            "{git: https://x.example/a, ref: v1, path: ../b, to: /x}",
            ["path is \"../b\"; it leads out of the folder of this file"]
        ),
    ])
    func `each slip in an entry of files is named`(text: String, said: [String]) {
        let found = problems(SoundSpec.with(line: 6, "  files: [\(text)]"))
        #expect(found.map { String($0.dropFirst(3).prefix { $0 != "→" }.dropLast()) } == said)
        #expect(found.allSatisfy { $0.hasPrefix("6: ") })
    }

    @Test func `a repository may be reached by ssh as a user, and never with a password`() throws {
        #expect(throws: Never.self) { try rule("{git: \"ssh://git@x.example/a.git\", ref: v1, to: /x}") }
        #expect(throws: Failures.self) {
            try rule("{git: \"ssh://git:pw@x.example/a.git\", ref: v1, to: /x}")
        }
    }
}
