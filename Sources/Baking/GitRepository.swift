import Glibc
import ImageFormat
import Model
import Ports

/// A Git repository, of which single commits are kept in the store. Git is asked for objects only: nothing of the
/// repository is run or followed, neither hooks nor filters nor submodules.
struct GitRepository: Sendable {
    struct Archive: Sendable {
        var digest: Digest
        var size: Int
    }

    private enum Limit {
        static let answer = Span.seconds(60)
        static let fetch = Span.seconds(1800)
    }

    private let address: String
    private let store: any ImageStore
    /// A bare repository of our own.
    private let folder: String

    static func open(_ address: String, store: any ImageStore) async throws -> GitRepository {
        let folder = try store.folder("git") + "/" + Digest.sha256(Array(address.utf8)).hex
        let repository = GitRepository(address: address, store: store, folder: folder)
        try await store.locked("git") {
            guard !HostFiles.exists(folder + "/info/attributes") else { return }
            try repository.expect(
                try await repository.git(["init", "--quiet", "--bare", "--template=", folder], at: nil))
            try HostFiles.makeFolder(folder + "/info")
            // The files as they were committed: these win over what the repository says of itself.
            let text = "* -export-ignore -export-subst -text -ident -filter -working-tree-encoding\n"
            try HostFiles.put(folder + "/info/attributes", text.utf8)
        }
        return repository
    }

    /// The commit that a tag or else a branch stands for now.
    func commit(of ref: String) async throws -> String {
        let names = ["refs/tags/\(ref)^{}", "refs/tags/\(ref)", "refs/heads/\(ref)"]
        let output = try await git(["ls-remote", "--quiet", "--", address] + names)
        guard output.status == 0 else { throw unreachable(output) }
        var found: [String: String] = [:]
        for line in output.out.split(separator: "\n") {
            let words = line.split(separator: "\t").map(String.init)
            if words.count == 2, GitRevision.isCommit(words[0]) { found[words[1]] = words[0] }
        }
        guard let commit = names.lazy.compactMap({ found[$0] }).first else {
            throw Failure(
                .notFound, "the repository \(address) has no branch or tag \(ref)",
                suggestion: "see those that it has: `git ls-remote \(address)`")
        }
        return commit
    }

    /// Keeps a part of a commit in the store, as a tar of files without owners and times: the same for the same
    /// content, whoever makes it.
    func archive(_ commit: String, ref: String?, path: String) async throws -> Archive {
        try await store.locked("git") {
            try await bring(commit, ref)
            let exported = try store.temporaryPath()
            defer { unlink(exported) }
            let part = ImagePath.normalized(path)
            let output = try await git(
                ["archive", "--format=tar", "--output=\(exported)", commit]
                    + (part.isEmpty ? [] : ["--", ":(literal)\(part)"]))
            guard output.status == 0 else {
                throw Failure(
                    .notFound, "the commit \(commit) of \(address) has no \(path)",
                    suggestion: "see what it holds: `git ls-tree \(commit.prefix(12))`")
            }
            let made = try store.temporaryPath()
            do {
                let tar = try MappedBytes(file: exported)
                try ArchiveFiles.expectNoWhiteouts(tar, name: "the commit \(commit) of \(address)")
                let (digest, size) = try PlainTar.write(try FileTree(layers: [tar]), to: made)
                try store.adopt(made, as: digest)
                return Archive(digest: digest, size: size)
            } catch {
                unlink(made)
                throw error
            }
        }
    }

    /// Fetches a commit where it is not here: alone, else with its branch or tag, else with everything, because a
    /// server need not give single commits.
    private func bring(_ commit: String, _ ref: String?) async throws {
        if try await has(commit) { return }
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"]
        var wishes = [["--depth=1", "--", address, commit]]
        if let ref {
            wishes.append(["--depth=1", "--", address, "refs/tags/\(ref)"])
            wishes.append(["--depth=1", "--", address, "refs/heads/\(ref)"])
        }
        wishes.append(["--", address, "+refs/heads/*:refs/kiln/heads/*", "+refs/tags/*:refs/kiln/tags/*"])
        var last: CommandRunner.Output?
        for wish in wishes {
            last = try await git(fetch + wish)
            if try await has(commit) { return }
        }
        if let last, last.status != 0 { throw unreachable(last) }
        throw Failure(
            .notFound, "the repository \(address) has no commit \(commit)",
            suggestion: "see that it was pushed there; commits that no branch holds are given away")
    }

    private func has(_ commit: String) async throws -> Bool {
        // All of its files too: a fetch may have been stopped.
        try await git(["rev-list", "--objects", "--quiet", "--max-count=1", "--no-walk", commit]).status == 0
    }

    private func unreachable(_ output: CommandRunner.Output) -> Failure {
        let lines = output.err.split(separator: "\n").filter {
            $0.hasPrefix("fatal:") || $0.hasPrefix("error:") || $0.hasPrefix("remote:")
        }
        let why = lines.first.map(String.init) ?? "git ended with \(output.status)"
        return Failure(
            .archiveUnreachable, "the repository \(address) does not answer: \(why)",
            suggestion: "see that `git ls-remote \(address)` works without asking for a password")
    }

    private func expect(_ output: CommandRunner.Output) throws {
        guard output.status == 0 else {
            throw Failure(.commandFailed, "git ended with \(output.status): \(output.err.prefix(300))")
        }
    }

    /// Runs git in our own repository. `at`: nil where that is yet to be made.
    private func git(_ arguments: [String], at place: String? = "") async throws -> CommandRunner.Output {
        let settings = [
            "core.hooksPath=/dev/null", "core.attributesFile=/dev/null", "core.fsmonitor=false",
            "protocol.ext.allow=never", "credential.interactive=false", "tar.umask=0022", "gc.auto=0",
            "fetch.recurseSubmodules=false", "advice.detachedHead=false",
        ]
        var environment = Command.plainEnvironment
        environment["GIT_TERMINAL_PROMPT"] = "0"
        environment["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
        environment["GIT_CONFIG_NOSYSTEM"] = "1"
        // Who somebody is, and the way out, are the user's own: a private repository needs them.
        for name in [
            "HOME", "XDG_CONFIG_HOME", "SSH_AUTH_SOCK", "https_proxy", "http_proxy", "no_proxy",
            "GIT_SSL_CAINFO",
        ] {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return try await CommandRunner.run(
            Command(
                "git",
                (place == nil ? [] : ["--git-dir=\(folder)"]) + settings.flatMap { ["-c", $0] } + arguments,
                environment: environment), package: "git",
            timeout: arguments.first == "fetch" ? Limit.fetch : Limit.answer)
    }
}
