import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// Parts of repositories that are made here.
@Suite struct GitRepositoryTests {
    private final class Work: Sendable {
        let folder: TemporaryFolder
        let store: FolderStore
        var address: String { "file://\(folder.path)/work" }

        init() async throws {
            folder = try TemporaryFolder()
            store = try FolderStore(folder.path + "/store")
            try await git("init", "--quiet", "--initial-branch=main", folder.path + "/work")
        }

        @discardableResult
        func git(_ arguments: String...) async throws -> String {
            var environment = Command.plainEnvironment
            environment["HOME"] = folder.path
            for who in ["AUTHOR", "COMMITTER"] {
                environment["GIT_\(who)_NAME"] = "Tests"
                environment["GIT_\(who)_EMAIL"] = "tests@kiln.example"
            }
            let place = arguments.first == "init" ? [] : ["-C", folder.path + "/work"]
            let output = try await CommandRunner.run(
                Command("git", place + arguments, environment: environment), package: "git",
                timeout: .seconds(60))
            guard output.status == 0 else { throw Failure(.commandFailed, output.err) }
            return output.out.trimmingPrefix { $0.isWhitespace }.split(separator: "\n").first.map(String.init)
                ?? ""
        }

        /// Commits all that lies in the work tree; gives the commit.
        func commit() async throws -> String {
            try await git("add", "--all")
            try await git("commit", "--quiet", "--message", "a change")
            return try await git("rev-parse", "HEAD")
        }

        func rule(_ revision: GitRevision, path: String = "./", to: String = "/srv/www") -> FileRule {
            FileRule(.checkout(Checkout(repository: address, revision: revision, path: path)), to: to)
        }

        func lock(_ rules: FileRule..., keeping old: Lock? = nil) async throws -> Lock {
            var lock = try PackageMaker.lock(PackageMaker.small)
            lock.fetched = try await SourceFetcher(store: store).lock(
                Recipe(distribution: nil, files: rules, command: []), keeping: old)
            return lock
        }

        func files(_ lock: Lock, _ rules: FileRule...) async throws -> [String: String] {
            var files = try SiteFiles([], folder: folder.path)
            try await SourceFetcher(store: store).add(
                Recipe(distribution: nil, files: rules, command: []), lock, to: &files)
            return Dictionary(
                uniqueKeysWithValues: try files.items.map { item in
                    let text =
                        item.kind == .file
                        ? String(decoding: try files.content(item), as: UTF8.self) : item.link
                    return (item.path, "\(String(item.mode, radix: 8)) \(text)")
                })
        }
    }

    @Test func `a commit gives its files as they were committed, whatever the repository says of itself`()
        async throws
    {
        let work = try await Work()
        try work.folder.write("work/src/site/index.html", "one\n$Format:%H$\n$Id$\n")
        try work.folder.write("work/src/site/run.sh", "#!/bin/sh\n", mode: 0o755)
        try work.folder.write("work/src/other", "x")
        try work.folder.link("work/src/site/latest", to: "index.html")
        try work.folder.write(
            "work/.gitattributes", "*.html export-subst ident eol=crlf filter=evil\nrun.sh export-ignore\n")
        let commit = try await work.commit()
        let rule = work.rule(.commit(commit), path: "src/site")
        let files = try await work.files(try await work.lock(rule), rule)
        #expect(
            files == [
                "srv/www": "755 ", "srv/www/index.html": "644 one\n$Format:%H$\n$Id$\n",
                "srv/www/latest": "777 index.html", "srv/www/run.sh": "755 #!/bin/sh\n",
            ])
        let file = work.rule(.commit(commit), path: "src/other", to: "/etc/other")
        #expect(try await work.files(try await work.lock(file), file) == ["etc/other": "644 x"])
    }

    @Test func `a tag or branch is locked as a commit, which stays until it is locked anew`() async throws {
        let work = try await Work()
        try work.folder.write("work/a", "one")
        let first = try await work.commit()
        try await work.git("tag", "--annotate", "--message", "x", "v1")
        let (tag, branch) = (work.rule(.ref("v1"), to: "/t"), work.rule(.ref("main"), to: "/b"))
        let lock = try await work.lock(tag, branch)
        #expect(
            lock.fetched.map(\.origin)
                == ["main", "v1"].map {
                    .git(repository: work.address, commit: first, ref: $0, path: "./")
                })
        try work.folder.write("work/a", "two")
        let second = try await work.commit()
        #expect(try await work.files(lock, branch)["b/a"] == "644 one")
        #expect(try await work.lock(tag, branch, keeping: lock) == lock)
        let anew = try await work.lock(tag, branch)
        #expect(
            anew.fetched[0].origin == .git(repository: work.address, commit: second, ref: "main", path: "./"))
        #expect(anew.fetched[1] == lock.fetched[1])
        #expect(try LockFile.parse(Array(LockFile.text(anew).utf8), place: "x") == anew)
    }

    @Test
    func
        `a locked commit needs no repository while the store has it, and a second store gets the same bytes`()
        async throws
    {
        let work = try await Work()
        try work.folder.write("work/a", "one")
        let rule = work.rule(.commit(try await work.commit()))
        let lock = try await work.lock(rule)
        let other = try FolderStore(work.folder.path + "/other")
        let again = try await SourceFetcher(store: other).lock(
            Recipe(distribution: nil, files: [rule], command: []))
        #expect(again == lock.fetched)
        #expect(rename(work.folder.path + "/work", work.folder.path + "/gone") == 0)
        #expect(try await work.files(lock, rule)["srv/www/a"] == "644 one")
    }

    @Test func `a commit that is not there, a path, a ref and a repository are each named`() async throws {
        let work = try await Work()
        try work.folder.write("work/a", "one")
        let commit = try await work.commit()
        let absent = String(repeating: "c", count: 40)
        for (rule, code, word) in [
            (work.rule(.commit(absent)), Failure.Code.notFound, absent),
            (work.rule(.commit(commit), path: "none"), .notFound, "none"),
            (work.rule(.ref("v9")), .notFound, "v9"),
        ] {
            let found = await failures { _ = try await work.lock(rule) }
            #expect(found.map(\.code) == [code])
            #expect(found.first?.message.contains(word) == true, "\(found)")
            #expect(found.first?.place == "image.files[0]")
        }
        let nowhere = FileRule(
            .checkout(Checkout(repository: "file:///nonexistent", revision: .ref("v1"), path: "./")), to: "/x"
        )
        #expect(await failures { _ = try await work.lock(nowhere) }.map(\.code) == [.archiveUnreachable])
    }

    @Test func `hooks of a repository are never run`() async throws {
        let work = try await Work()
        try work.folder.write("work/a", "one")
        let rule = work.rule(.commit(try await work.commit()))
        let mark = work.folder.path + "/mark"
        for hook in ["post-checkout", "reference-transaction", "post-upload-pack"] {
            try work.folder.write("work/.git/hooks/\(hook)", "#!/bin/sh\ntouch \(mark)\n", mode: 0o755)
        }
        _ = try await work.lock(rule)
        #expect(!HostFiles.exists(mark))
    }

    @Test func `a link that leads out of the part that is taken is refused`() async throws {
        let work = try await Work()
        try work.folder.write("work/site/a", "one")
        try work.folder.link("work/site/out", to: "../../etc/passwd")
        let rule = work.rule(.commit(try await work.commit()), path: "site")
        let lock = try await work.lock(rule)
        #expect(await failures { _ = try await work.files(lock, rule) }.map(\.code) == [.unsafePath])
    }
}
