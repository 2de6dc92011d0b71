import Model

/// An entry of `image.files`: a file or folder beside the spec, a download, or a part of a Git repository.
enum FileKeys {
    static let from = Key(
        "from", Form<String>.localPath(example: "site/"),
        "A file or folder, relative to the folder of this file and inside it. A folder goes whole.")
    static let url = Key(
        "url", Form<String>.downloadAddress(example: "https://example.org/tool-1.2.tar.gz"),
        "A file to fetch; what it must be is said by sha256.")
    static let sha256 = Key(
        "sha256",
        Form<String>.text(pattern: "^[0-9a-f]{64}$", example: String(repeating: "0123456789abcdef", count: 4))
        {
            (try? Digest(hex: $0)) == nil ? "64 digits 0-9 a-f are needed" : nil
        }, "The SHA-256 of what url gives, as sha256sum prints it.")
    static let extract = Key(
        "extract", Form<Bool>.flag(example: "true"),
        "Unpack the tar archive that url gives (plain, gzip, xz or zstd) into the folder `to`.",
        fallback: .bool(false))
    static let strip = Key(
        "strip", Form<Int>.integer(Bounds.strip, example: "1"),
        "Folders to take away from the front of each path of the archive.", fallback: .integer(0))
    static let git = Key(
        "git", Form<String>.repositoryAddress(example: "https://git.example/team/site.git"),
        "A Git repository.")
    static let commit = Key(
        "commit",
        Form<String>.text(
            pattern: "^[0-9a-f]{40}$", example: "0123456789abcdef0123456789abcdef01234567",
            check: { GitRevision.isCommit($0) ? nil : "the 40 digits of a commit are needed" }),
        "The commit to take.")
    static let ref = Key(
        "ref",
        Form<String>.text(
            pattern: "^[A-Za-z0-9_][A-Za-z0-9._/+-]*$", example: "v1.2",
            check: { GitRevision.isRef($0) ? nil : "the name of a branch or tag is needed" }),
        "The branch or tag to take. `kiln lock` writes the commit that it stands for into kiln.lock.")
    static let path = Key(
        "path", Form<String>.localPath(example: "src/site"),
        "A file or folder of the repository; without it, all of it.")
    static let to = Key(
        "to", Form<String>.targetPath(example: "/srv/www"),
        "Where it goes in the image. With a slash at the end, a file goes into that folder under its own "
            + "name.",
        required: true)
    static let mode = Key(
        "mode", Form<Int>.permissions(example: "0644"),
        "Permissions of the files in octal. Without it: 0755 for what is executable, 0644 for all else.")
    static let owner = Key(
        "owner", Form<String>.owner(example: "www-data:www-data"),
        "user or user:group of the image, by name or number.", fallback: .text("root:root"))

    static let all: [any AnyKey] = [
        from, url, sha256, extract, strip, git, commit, ref, path, to, mode, owner,
    ]
    private static let origins: [any AnyKey] = [from, url, git]

    static let form = settings.requiringOne(of: origins)

    private static let settings = Form<FileRule>.section(all, example: "{from: site/, to: /srv/www}") {
        section, problems in
        let given = section.given(origins)
        if given.isEmpty {
            section.require([from], &problems)
        } else if given.count > 1 {
            problems.add(
                "\(sentence(given.map(\.name))) are both given", line: given[1].line,
                suggestion: "make an entry of each")
        }
        let origin = given.first?.name
        for (key, rest) in [(url, [sha256, extract, strip] as [any AnyKey]), (git, [commit, ref, path])]
        where origin != key.name && given.count == 1 {
            for stray in section.given(rest) {
                problems.add(
                    "\(stray.name) is given, but no \(key.name)", line: stray.line,
                    suggestion: "add \(key.name): \(key.example), or remove \(stray.name)")
            }
        }
        let source: FileRule.Source? =
            switch origin {
            case url.name: download(section, &problems)
            case git.name: checkout(section, &problems)
            default:
                section.value(from, &problems).map {
                    .local(path: $0, folder: problems.folder(of: section.line))
                }
            }
        let target = section.value(to, &problems)
        let mode = section.value(mode, &problems)
        let owner = section.value(owner, &problems)
        guard let source, let target else { return nil }
        return FileRule(source, to: full(target, of: source), mode: mode, owner: owner)
    }

    /// The path that something gets: `to: /srv/` names the folder that it goes into under its own name.
    private static func full(_ target: String, of source: FileRule.Source) -> String {
        guard target.hasSuffix("/"), target != "/" else { return target }
        let name: Substring? =
            switch source {
            // `site/` is a folder's content: it goes into the target folder itself.
            case .local(let path, _): path.hasSuffix("/") ? nil : path.split(separator: "/").last
            case .download(let download):
                download.unpacking == nil
                    ? download.url.prefix { $0 != "?" }.split(separator: "/").last : nil
            case .checkout(let checkout):
                checkout.path.hasSuffix("/") ? nil : checkout.path.split(separator: "/").last
            }
        return name.map { target + $0 } ?? String(target.dropLast())
    }

    private static func download(_ section: Section, _ problems: inout Problems) -> FileRule.Source? {
        section.require([sha256], &problems)
        let url = section.value(url, &problems)
        let digest = section.value(sha256, &problems).flatMap { try? Digest(hex: $0) }
        let isUnpacked = section.value(extract, &problems) ?? false
        let strip = section.value(strip, &problems)
        if section.has(FileKeys.strip), !isUnpacked {
            problems.add(
                "strip is given, but the file is not unpacked", line: section.line(of: FileKeys.strip),
                suggestion: "add extract: true, or remove strip")
        }
        guard let url, let digest else { return nil }
        return .download(
            Download(
                url: url, sha256: digest,
                unpacking: isUnpacked ? Download.Unpacking(strip: strip ?? 0) : nil))
    }

    private static func checkout(_ section: Section, _ problems: inout Problems) -> FileRule.Source? {
        let repository = section.value(git, &problems)
        let commit = section.value(commit, &problems)
        let ref = section.value(ref, &problems)
        let path = section.value(path, &problems)
        if section.has(FileKeys.commit) == section.has(FileKeys.ref) {
            problems.add(
                section.has(FileKeys.commit)
                    ? "commit and ref are both given" : "a Git repository is given, but no commit",
                line: section.line,
                suggestion: "write commit: and its 40 digits, or ref: and a branch or tag that kiln lock "
                    + "looks up")
        }
        guard let repository, let revision = commit.map(GitRevision.commit) ?? ref.map(GitRevision.ref)
        else { return nil }
        return .checkout(Checkout(repository: repository, revision: revision, path: path ?? "./"))
    }
}

extension Form where Value == String {
    /// The address of a file that is checked by its hash.
    static func downloadAddress(example: String) -> Form {
        address(["http://", "https://", "file:///"], users: false, example: example)
    }

    /// The address of a Git repository. One that runs a program (`ext::`) or asks for a password is none.
    static func repositoryAddress(example: String) -> Form {
        address(["https://", "http://", "ssh://", "git://", "file:///"], users: true, example: example)
    }

    private static func address(_ schemes: [String], users: Bool, example: String) -> Form {
        let pattern = "^(" + schemes.joined(separator: "|") + ")"
        return text(pattern: pattern, example: example) { text in
            let isPlain = text.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"#\"'\\".utf8.contains($0) }
            let isAddress = schemes.contains { text.hasPrefix($0) && text.utf8.count > $0.utf8.count }
            return isAddress && isPlain && text.utf8.count <= Bounds.pathBytes
                ? nil
                : "an address that begins with \(sentence(schemes).replacing(" and ", with: " or ")) is needed"
        }.map { address, line, label, problems in
            let host = address.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
            let isUser = users && address.hasPrefix("ssh:") && !host.contains(":")
            // Not shown: it may hold a password.
            guard !host.contains("@") || isUser else {
                problems.add(
                    "\(label.text) holds a user name or password", line: line,
                    suggestion: label.write(example))
                return nil
            }
            return address
        }
    }
}
