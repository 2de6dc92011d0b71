internal import ArgumentParser
internal import Foundation
internal import Model
internal import Notary
internal import Ports
internal import Trust

struct KeyVerb: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Make, trust, list, replace and revoke the keys that images and approvals are signed with.",
        discussion: """
            Each key has one role. A build key signs images and what is said of how they were made, a deploy key
            approvals, a ledger key the ledger's checkpoints; none does another's work.
            """,
        subcommands: [Generate.self, Show.self, Trust.self, List.self, Rotate.self, Revoke.self])

    struct Answer: Encodable {
        var name: String; var role: String; var algorithm: String; var id: String; var publicKey: String
        var privateKey: String?; var standing: String; var validFrom: Instant?; var validUntil: Instant?
        var revokedAt: Instant?; var reason: String?

        init(_ key: TrustedKey, in folder: KeyFolder, now: Instant) {
            (name, role) = (key.name, key.role.rawValue)
            algorithm = key.publicKey.algorithm.rawValue
            id = key.publicKey.id.text
            publicKey = folder.publicPath(key)
            let path = folder.privatePath(key)
            privateKey = FileManager.default.fileExists(atPath: path) ? path : nil
            (validFrom, validUntil) = (key.validFrom, key.validUntil)
            (revokedAt, reason) = (key.revocation?.at, key.revocation?.reason)
            standing =
                switch key.standing(at: now) {
                case .trusted: "trusted"
                case .notYet: "not-yet-valid"
                case .expired: "expired"
                case .revoked: "revoked"
                }
        }

        var row: [String] {
            let until = validUntil.map { "until \($0)" } ?? ""
            return [name, role, standing, id, revokedAt.map { "\($0): \(reason ?? "")" } ?? until]
        }
    }

    struct Generate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key. Its private half is closed with a passphrase.",
            discussion: """
                Examples:
                  kiln key generate release --role build
                  kiln key generate ci --role build --no-passphrase     for a machine, in a file of mode 0600
                  kiln key generate ledger --role ledger --valid-for 365d
                """)

        @Argument(help: "What to call it.")
        var name: String
        @Option(help: "What it may sign: build, deploy or ledger.")
        var role: KeyRole
        @Option(help: ArgumentHelp("How long it is trusted, from now on.", valueName: "span"))
        var validFor: String?
        @Flag(help: "Leave it open, in a file that only its owner can read.")
        var noPassphrase = false
        @OptionGroup var passphrase: PassphraseOptions
        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            if let validFor, Span(validFor) == nil {
                throw ValidationError("--valid-for takes a time such as 90d, not \"\(validFor)\"")
            }
        }

        func run() async throws {
            let (folder, now) = (keys.folder(root), Instant.fromClock)
            let signing = try SigningKey(generating: role)
            let key = TrustedKey(
                name: name, publicKey: signing.publicKey, role: role, validFrom: now,
                validUntil: validFor.flatMap { Span($0) }.map { now + $0 })
            // A name that will not do is told before anybody types a passphrase.
            var trial = try folder.ring()
            try trial.add(key)
            let file = try KeyFile(
                signing, passphrase: noPassphrase ? nil : try passphrase.passphrase(isNew: true))
            try folder.change { ring in
                try ring.add(key)
                try folder.store(file, for: key)
            }
            try await KeyVerb.close("generate", "made the key \(key.called)", key, folder, root, output)
        }
    }

    struct Trust: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trust a key whose private half lies elsewhere.",
            discussion: """
                Compare its identity with what `kiln key list` says where it was made: by another way than the
                file came.

                Example:
                  kiln key trust alice alice.pub --role deploy
                """)

        @Argument(help: "What to call it.")
        var name: String
        @Argument(help: "Its public half, as PEM.", completion: .file())
        var publicKey: String
        @Option(help: "What it may sign: build, deploy or ledger.")
        var role: KeyRole
        @Option(help: ArgumentHelp("How long it is trusted, from now on.", valueName: "span"))
        var validFor: String?
        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        /// Longest file that is read: a public key is far shorter.
        private static let longest = 16 << 10

        func validate() throws {
            if let validFor, Span(validFor) == nil {
                throw ValidationError("--valid-for takes a time such as 90d, not \"\(validFor)\"")
            }
        }

        func run() async throws {
            let (folder, now) = (keys.folder(root), Instant.fromClock)
            guard let bytes = try KeyFolder.read(publicKey, limit: Trust.longest) else {
                throw Failure(.fileMissing, "there is no such file", at: publicKey)
            }
            let half = try PublicKey(pem: String(decoding: bytes, as: UTF8.self))
            guard half.algorithm == role.algorithm else {
                throw Failure(
                    .keyUnusable,
                    "a \(role.rawValue) key is of the kind \(role.algorithm.rawValue), and this is "
                        + half.algorithm.rawValue, at: publicKey)
            }
            let key = TrustedKey(
                name: name, publicKey: half, role: role, validFrom: now,
                validUntil: validFor.flatMap { Span($0) }.map { now + $0 })
            try folder.change { ring in
                try ring.add(key)
                try folder.storePublic(key)
            }
            try await KeyVerb.close(
                "trust", "trusts the key \(key.called), made elsewhere", key, folder, root, output)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the keys, oldest first, and what each is worth now.",
            discussion: """
                Example:
                  kiln key list
                """)

        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let (folder, now) = (keys.folder(root), Instant.fromClock)
            let answers = try folder.ring().keys.map { Answer($0, in: folder, now: now) }
            switch output.output {
            case .json: try Screen.answer(answers)
            case .text where answers.isEmpty: Screen.answer("no keys yet; `kiln key generate` makes one")
            case .text: Screen.answer(Screen.table(answers.map(\.row)))
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the public half of a key, for other tools.",
            discussion: """
                Examples:
                  kiln key show release > release.pub
                  cosign verify --key release.pub --insecure-ignore-tlog registry.example/team/hello:v1
                """)

        @Argument(help: "The key's name.")
        var name: String
        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let folder = keys.folder(root)
            let key = try folder.ring().current(name)
            switch output.output {
            case .json: try Screen.answer(Answer(key, in: folder, now: Instant.fromClock))
            case .text: Screen.draw(key.publicKey.pem)
            }
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put a new key in the place of one, which is trusted for a while yet.",
            discussion: """
                A signature proves no time, so what the old key signed is trusted as long as the key: sign again
                what is to live longer.

                Example:
                  kiln key rotate release --overlap 30d
                """)

        @Argument(help: "The key's name.")
        var name: String
        @Option(help: ArgumentHelp("How long the old key is trusted yet.", valueName: "span"))
        var overlap = "30d"
        @Flag(help: "Leave the new one open, in a file that only its owner can read.")
        var noPassphrase = false
        @OptionGroup var passphrase: PassphraseOptions
        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            guard Span(overlap) != nil else {
                throw ValidationError("--overlap takes a time such as 30d, not \"\(overlap)\"")
            }
        }

        func run() async throws {
            let folder = keys.folder(root)
            let old = try folder.ring().current(name)
            guard FileManager.default.fileExists(atPath: folder.privatePath(old)) else {
                // A key that lies here would sign as somebody who is elsewhere.
                throw Failure(
                    .keyUnusable, "the private half of \(old.called) lies elsewhere", at: folder.path,
                    suggestion: "have a new one made there, revoke this one, and trust the new one: "
                        + "kiln key trust NAME FILE --role \(old.role.rawValue)")
            }
            let signing = try SigningKey(generating: old.role)
            let file = try KeyFile(
                signing, passphrase: noPassphrase ? nil : try passphrase.passphrase(isNew: true))
            let key = try folder.change { ring in
                try ring.rotate(
                    name, to: signing.publicKey, overlap: Span(overlap) ?? .zero, now: Instant.fromClock)
                let key = try ring.current(name)
                guard key.role == signing.role else {
                    throw Failure(.conflict, "the key changed meanwhile", suggestion: "try again")
                }
                try folder.store(file, for: key)
                return key
            }
            try await KeyVerb.close(
                "rotate", "put the key \(key.called) in the place of \(old.publicKey.id.short)…", key, folder,
                root, output)
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trust nothing any more that a key signed, whenever that was.",
            discussion: """
                Its private half is deleted here. There is no way back. After a rotation two keys may have the name:
                say which, or --all.

                Examples:
                  kiln key revoke release --reason "laptop lost"
                  kiln key revoke release --all --reason "laptop lost"
                  kiln key revoke release --id 3rLfjasR --reason "old laptop lost"
                """)

        @Argument(help: "The key's name.")
        var name: String
        @Option(help: "The beginning of its identity, where a key that was rotated away is meant.")
        var id: String?
        @Flag(help: "Every key of this name.")
        var all = false
        @Option(help: "Why, for whoever is refused because of it.")
        var reason: String
        @OptionGroup var keys: KeyFolderOptions
        @OptionGroup var root: RootOptions
        @OptionGroup var output: OutputOptions

        func run() async throws {
            let folder = keys.folder(root)
            let revoked = try folder.change { ring in
                let now = Instant.fromClock
                guard all else { return [try ring.revoke(name, id: id, reason: reason, now: now)] }
                return try ring.standing(name, at: now).map {
                    try ring.revoke(name, id: $0.publicKey.id.text, reason: reason, now: now)
                }
            }
            for key in revoked {
                // Only once the ring says so: a crash before that leaves a key that can still be revoked.
                unlink(folder.privatePath(key))
                try await KeyVerb.close(
                    "revoke", "revoked the key \(key.called)", key, folder, root, output, reason: reason)
            }
        }
    }

    /// What every verb ends with that did something to a key: it is in the ledger, and then told.
    private static func close(
        _ act: String, _ message: String, _ key: TrustedKey, _ folder: KeyFolder, _ root: RootOptions,
        _ output: OutputOptions, reason: String? = nil
    ) async throws {
        try await log(act, message, key, folder, root, reason: reason)
        let answer = Answer(key, in: folder, now: Instant.fromClock)
        switch output.output {
        case .json: try Screen.answer(answer)
        case .text:
            Screen.answer(Screen.table([answer.row]))
            Screen.answer("public key: \(answer.publicKey)")
        }
    }

    /// Logs what was done to a key of a root folder: whoever keeps keys elsewhere has no ledger here. It is done by then,
    /// and a ledger that cannot be written is a failure none the less.
    private static func log(
        _ act: String, _ message: String, _ key: TrustedKey, _ folder: KeyFolder, _ root: RootOptions,
        reason: String?
    ) async throws {
        guard folder.path == root.path + "/keys" else { return }
        let entry = LedgerEntry(
            .key, message, at: Instant.fromClock, by: LedgerEntry.thisUser, reason: reason,
            details: [
                "act": act, "name": key.name, "role": key.role.rawValue, "key": key.publicKey.id.text,
            ])
        do {
            try await root.append(entry)
        } catch {
            var failure = Failure.list(error)[0]
            failure.message = "\(message), and that is not in the ledger: \(failure.message)"
            throw failure
        }
    }
}
