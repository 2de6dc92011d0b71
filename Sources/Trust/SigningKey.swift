internal import Foundation
internal import Model

/// A private key that is ready to sign, with the one role that it may sign for.
package struct SigningKey: Sendable {
    package let role: KeyRole
    package let privateKey: PrivateKey

    package var publicKey: PublicKey { privateKey.publicKey }

    /// Throws `keyUnusable` where the key is not of the kind that the role asks for.
    package init(_ privateKey: PrivateKey, role: KeyRole) throws {
        guard privateKey.publicKey.algorithm == role.algorithm else {
            throw Failure(
                .keyUnusable,
                "a \(role.rawValue) key is of the kind \(role.algorithm.rawValue), and this is "
                    + privateKey.publicKey.algorithm.rawValue)
        }
        self.role = role
        self.privateKey = privateKey
    }

    /// A new key, from the system's randomness.
    package init(generating role: KeyRole) throws {
        try self.init(try PrivateKey(generating: role.algorithm), role: role)
    }

    /// Signs work of one role. Throws `keyUnusable` where that is not this key's.
    func signature(of message: [UInt8], as role: KeyRole) throws -> [UInt8] {
        guard role == self.role else {
            throw Failure(
                .keyUnusable,
                "this is a \(self.role.rawValue) key: it signs \(self.role.work), and not \(role.work)",
                at: publicKey.id.text,
                suggestion: "use a \(role.rawValue) key: kiln key generate NAME --role \(role.rawValue)")
        }
        return try privateKey.signature(of: message)
    }
}

/// A private key as it rests in a file: closed with a passphrase, or open in a file that only its owner can read.
package struct KeyFile: Sendable {
    package let role: KeyRole
    package let publicKey: PublicKey
    private let content: Content

    private enum Content: Sendable {
        case open(PrivateKey)
        case sealed(KeySeal)
    }

    package enum Limit {
        package static let bytes = 16 << 10
        /// Shorter ones are found by trying.
        package static let shortestPassphrase = 12
        static let version = 1
    }

    /// - Parameter passphrase: nil to leave it open
    package init(_ key: SigningKey, passphrase: String?) throws {
        role = key.role
        publicKey = key.publicKey
        guard let passphrase else {
            content = .open(key.privateKey)
            return
        }
        guard passphrase.count >= Limit.shortestPassphrase else {
            throw Failure(
                .invalidArgument, "the passphrase is shorter than \(Limit.shortestPassphrase) characters",
                suggestion: "take some words that nobody has put together before")
        }
        content = .sealed(
            try KeySeal(
                closing: key.privateKey.pkcs8, passphrase: passphrase,
                context: KeyFile.header(role, publicKey).bytes))
    }

    package var isSealed: Bool { if case .sealed = content { true } else { false } }

    /// What is said openly. The seal covers it: a sealed key cannot be given another role.
    private static func header(_ role: KeyRole, _ publicKey: PublicKey) -> JSONValue {
        .object(headerMembers(role, publicKey))
    }

    private static func headerMembers(_ role: KeyRole, _ publicKey: PublicKey) -> [String: JSONValue] {
        [
            "kilnKey": .number(Limit.version), "role": .string(role.rawValue),
            "algorithm": .string(publicKey.algorithm.rawValue),
            "public": .string(Base64.encode(publicKey.der)),
        ]
    }

    package var bytes: [UInt8] {
        var members = KeyFile.headerMembers(role, publicKey)
        members["private"] =
            switch content {
            case .open(let key):
                .object(["form": .string("pkcs8"), "pkcs8": .string(Base64.encode(key.pkcs8))])
            case .sealed(let seal): .object(seal.json)
            }
        return JSONValue.object(members).bytes + [UInt8(ascii: "\n")]
    }

    package init(parsing bytes: [UInt8]) throws {
        guard bytes.count <= Limit.bytes, let json = try? JSONValue(parsing: bytes),
            json["kilnKey"]?.number == Limit.version,
            let role = json["role"]?.text.flatMap(KeyRole.init(rawValue:)),
            let der = json["public"]?.text.flatMap(Base64.decode), let secret = json["private"]
        else {
            throw Failure(
                .keyUnusable, "this is no key file of Kiln's", suggestion: "`kiln key generate` writes one")
        }
        self.role = role
        publicKey = try PublicKey(der: der)
        switch secret["form"]?.text {
        case KeySeal.form: content = .sealed(try KeySeal(json: secret))
        case "pkcs8":
            let key = try PrivateKey(
                pkcs8: secret["pkcs8"]?.text.flatMap(Base64.decode) ?? [], publicKey.algorithm)
            guard key.publicKey == publicKey else { throw KeyFile.mismatch }
            content = .open(key)
        default: throw Failure(.keyUnusable, "this key file is of a form that is not known here")
        }
        guard role.algorithm == publicKey.algorithm else { throw KeyFile.mismatch }
    }

    /// The key itself.
    ///
    /// - Parameter passphrase: asked for where one is needed
    package func opened(_ passphrase: () throws -> String) throws -> SigningKey {
        switch content {
        case .open(let key): return try SigningKey(key, role: role)
        case .sealed(let seal):
            let pkcs8 = try seal.opened(
                try passphrase(), context: KeyFile.header(role, publicKey).bytes)
            let key = try PrivateKey(pkcs8: pkcs8, publicKey.algorithm)
            guard key.publicKey == publicKey else { throw KeyFile.mismatch }
            return try SigningKey(key, role: role)
        }
    }

    private static let mismatch = Failure(
        .keyUnusable, "the private half of this key file does not belong to its public half",
        suggestion: "take the file from a copy, or rotate the key")
}
