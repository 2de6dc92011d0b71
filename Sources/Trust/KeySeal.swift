internal import Crypto
internal import CryptoExtras
internal import Foundation
internal import Model

/// Closes bytes with a passphrase: scrypt (RFC 7914) makes a key of it, AES-256-GCM closes them with that.
struct KeySeal {
    enum Limit {
        /// What new seals cost: 2^16 rounds of 1 KiB, 64 MiB and a fraction of a second.
        static let usualCost = 16
        /// What a file may ask for at least and at most: a file of somebody else's must not take all memory.
        static let costs = 14...20
        static let blockSize = 8
        static let salt = 16
    }

    /// Binary logarithm of scrypt's rounds.
    var cost: Int
    var salt: [UInt8]
    /// Nonce, closed bytes and tag.
    var box: [UInt8]

    /// - Parameter context: said openly beside the box; the box opens with exactly the same only
    init(closing secret: [UInt8], passphrase: String, context: [UInt8], cost: Int = Limit.usualCost) throws {
        self.cost = cost
        salt = (0..<Limit.salt).map { _ in UInt8.random(in: 0 ... .max) }
        let key = try KeySeal.key(passphrase, salt, cost)
        guard let combined = try AES.GCM.seal(secret, using: key, authenticating: context).combined else {
            throw Failure(.internalError, "a key was sealed without its nonce")
        }
        box = Array(combined)
    }

    init(json: JSONValue) throws {
        guard let cost = json["cost"]?.number, Limit.costs.contains(cost),
            let salt = json["salt"]?.text.flatMap(Base64.decode), salt.count == Limit.salt,
            let box = json["box"]?.text.flatMap(Base64.decode), (28...1024).contains(box.count)
        else {
            throw Failure(
                .keyUnusable, "the sealed part of this key file is damaged",
                suggestion: "take it from a copy, or rotate the key")
        }
        (self.cost, self.salt, self.box) = (cost, salt, box)
    }

    var json: [String: JSONValue] {
        [
            "form": .string(KeySeal.form), "cost": .number(cost), "salt": .string(Base64.encode(salt)),
            "box": .string(Base64.encode(box)),
        ]
    }
    static let form = "scrypt-aes-256-gcm"

    func opened(_ passphrase: String, context: [UInt8]) throws -> [UInt8] {
        guard let sealed = try? AES.GCM.SealedBox(combined: box),
            let secret = try? AES.GCM.open(
                sealed, using: KeySeal.key(passphrase, salt, cost), authenticating: context)
        else {
            throw Failure(
                .keyUnusable, "the passphrase does not open this key, or its file was changed",
                suggestion: "try the passphrase again, or take the file from a copy")
        }
        return Array(secret)
    }

    private static func key(_ passphrase: String, _ salt: [UInt8], _ cost: Int) throws -> SymmetricKey {
        try KDF.Scrypt.deriveKey(
            from: Array(passphrase.utf8), salt: salt, outputByteCount: 32, rounds: 1 << cost,
            blockSize: Limit.blockSize, parallelism: 1, maxMemory: 256 * Limit.blockSize << cost)
    }
}
