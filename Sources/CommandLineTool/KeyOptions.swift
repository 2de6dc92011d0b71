internal import ArgumentParser
internal import Foundation
internal import Model
internal import Trust

extension KeyRole: ExpressibleByArgument {}

struct KeyFolderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Folder of keys (default: $KILN_KEYS, else ROOT/keys).", valueName: "dir"),
        completion: .directory)
    var keys: String?

    func folder(_ root: RootOptions) -> KeyFolder {
        let stated = keys ?? ProcessInfo.processInfo.environment["KILN_KEYS"]
        return KeyFolder(
            path: stated.map { URL(fileURLWithPath: $0).standardizedFileURL.path } ?? root.path + "/keys")
    }
}

struct PassphraseOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A file whose first line is the passphrase (default: $KILN_KEY_PASSPHRASE, else it is asked for).",
            valueName: "file"), completion: .file())
    var passphraseFile: String?

    /// Longest line that is read.
    private static let longest = 4096

    /// - Parameter isNew: asked for twice, since nobody sees what is typed
    func passphrase(isNew: Bool) throws -> String {
        if let passphraseFile {
            guard let bytes = try KeyFolder.read(passphraseFile, limit: PassphraseOptions.longest) else {
                throw Failure(.fileMissing, "there is no such file", at: passphraseFile)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            return String(text.prefix { !$0.isNewline })
        }
        if let text = ProcessInfo.processInfo.environment["KILN_KEY_PASSPHRASE"], !text.isEmpty {
            return text
        }
        guard isatty(0) == 1 else {
            throw Failure(
                .invalidArgument, "the key has a passphrase, and nobody is here to type it",
                suggestion: isNew
                    ? "--passphrase-file FILE, or --no-passphrase for a file that only its owner can read"
                    : "--passphrase-file FILE, or set KILN_KEY_PASSPHRASE")
        }
        let text = try PassphraseOptions.ask("Passphrase of the key: ")
        if isNew, try PassphraseOptions.ask("The same again: ") != text {
            throw Failure(.invalidArgument, "the two passphrases differ", suggestion: "try again")
        }
        return text
    }

    private static func ask(_ question: String) throws -> String {
        guard let typed = getpass(question) else {
            throw Failure(.invalidArgument, "no passphrase was typed")
        }
        return String(cString: typed)
    }
}
