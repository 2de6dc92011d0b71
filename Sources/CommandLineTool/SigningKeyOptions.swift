internal import ArgumentParser
internal import Model
internal import Trust

/// Where a verb finds the key that it signs with.
struct SigningKeyOptions: ParsableArguments {
    @OptionGroup var passphrase: PassphraseOptions
    @OptionGroup var keys: KeyFolderOptions

    /// The private half of a key, by its name in the folder of keys or by its file; refused where its role is another.
    func signingKey(_ name: String, for role: KeyRole, _ root: RootOptions) throws -> SigningKey {
        let file = try keyFile(name, root)
        guard file.role == role else {
            throw Failure(
                .keyUnusable,
                "this is a \(file.role.rawValue) key: it signs \(file.role.work), not \(role.work)", at: name,
                suggestion: "kiln key generate NAME --role \(role.rawValue)")
        }
        return try file.opened { try passphrase.passphrase(isNew: false) }
    }

    private func keyFile(_ name: String, _ root: RootOptions) throws -> KeyFile {
        if name.contains("/") || name.hasSuffix(".key") { return try KeyFolder.keyFile(name) }
        let folder = keys.folder(root)
        let entry = try folder.ring().current(name)
        guard entry.standing(at: Instant.fromClock) == .trusted else {
            throw Failure(
                .keyUnusable, "the key \(entry.called) is not trusted now", at: folder.path,
                suggestion: "kiln key rotate \(name)")
        }
        let file = try folder.file(of: entry)
        guard file.publicKey == entry.publicKey, file.role == entry.role else {
            throw Failure(
                .keyUnusable, "the key file is not that of \(entry.called)", at: folder.privatePath(entry),
                suggestion: "take it from a copy")
        }
        return file
    }
}
