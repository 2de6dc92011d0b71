internal import Foundation
internal import Model
internal import Trust

/// What Git says of the folder that a recipe is in.
struct GitSource {
    let folder: String
    /// What decides about the image: of these, files that Git ignores or does not know count as changes too.
    let files: [String]

    private enum Limit {
        static let output = 1 << 20
        /// For one question; a large folder on a slow disk takes seconds.
        static let patience = 60
    }

    init(folder: String, files: [String] = []) {
        self.folder = folder
        self.files = files
    }

    /// Of all that makes an image.
    init(_ reading: SpecReading) { self.init(folder: reading.folder, files: reading.inputs) }

    /// The commit, with `-dirty` behind it where something is in none.
    var commit: String? {
        guard let source = try? source() else { return nil }
        return source.commit + (source.isDirty ? "-dirty" : "")
    }

    /// nil where the folder is in no repository, or Git is not here to say so.
    func source() throws -> Provenance.Source? {
        guard let commit = try ask("rev-parse", "--verify", "HEAD") else { return nil }
        // What cannot be told is not clean.
        let changes = try ask("status", "--porcelain", "--untracked-files=normal")
        let ignored = files.isEmpty ? "" : try ask(["ls-files", "--others", "--"] + files)
        return Provenance.Source(
            repository: try ask("config", "--get", "remote.origin.url").map(GitSource.withoutCredentials),
            commit: commit, isDirty: changes != "" || ignored != "")
    }

    /// How many commits that change something in the folder came after `commit`; nil where Git does not know it, or has
    /// it on another branch.
    func commits(since commit: String) -> Int? {
        guard (try? ask("merge-base", "--is-ancestor", commit, "HEAD")) ?? nil != nil else { return nil }
        return (try? ask("rev-list", "--count", "\(commit)..HEAD", "--", ".")).flatMap {
            $0.flatMap { Int($0) }
        }
    }

    /// An address without the name and password that it may have, and without a trailing slash or `.git`.
    static func withoutCredentials(_ address: String) -> String {
        var text = address
        if let scheme = text.range(of: "://") {
            let end = text[scheme.upperBound...].firstIndex(of: "/") ?? text.endIndex
            if let at = text[scheme.upperBound..<end].lastIndex(of: "@") {
                text.removeSubrange(scheme.upperBound...at)
            }
        }
        while text.hasSuffix("/") { text.removeLast() }
        return text.hasSuffix(".git") ? String(text.dropLast(4)) : text
    }

    private func ask(_ arguments: String...) throws -> String? { try ask(arguments) }

    /// The answer without its last newline; nil where Git ends with an error.
    private func ask(_ arguments: [String]) throws -> String? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["git", "-C", folder, "--no-optional-locks", "--literal-pathspecs"] + arguments
        let output = Pipe()
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let pid = process.processIdentifier
        let deadline = DispatchWorkItem { kill(pid, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + .seconds(Limit.patience), execute: deadline)
        let data = try output.fileHandleForReading.read(upToCount: Limit.output) ?? Data()
        try? output.fileHandleForReading.close()
        deadline.cancel()
        process.waitUntilExit()
        // Git is stopped where its list is longer than what is read; it is a list none the less.
        let isCut = data.count == Limit.output
        guard isCut || process.terminationReason == .exit && process.terminationStatus == 0 else {
            return nil
        }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .newlines)
    }
}
