internal import Crypto
internal import Model

/// The public key of a note's signer with the name that it signs under (c2sp.org/signed-note).
package struct NoteKey: Hashable, Sendable, CustomStringConvertible {
    package let name: String
    package let publicKey: PublicKey
    /// The first four bytes of `SHA256(name ‖ 0A ‖ 01 ‖ key)`.
    package let hash: [UInt8]

    private static let ed25519: UInt8 = 1

    package init(name: String, publicKey: PublicKey) throws {
        self.name = name
        self.publicKey = publicKey
        hash = try NoteKey.hash(name, publicKey, kind: NoteKey.ed25519)
    }

    /// Names a key among those of one name. Throws where the name or the key is none for notes.
    static func hash(_ name: String, _ publicKey: PublicKey, kind: UInt8) throws -> [UInt8] {
        guard isName(name), publicKey.algorithm == .ed25519 else {
            throw Failure(
                .keyUnusable, "a note is signed with an Ed25519 key, under a name without spaces and +",
                suggestion: "kiln key generate ledger --role ledger")
        }
        return Array(
            SHA256.hash(data: Array(name.utf8) + [UInt8(ascii: "\n"), kind] + publicKey.raw).prefix(4))
    }

    /// Reads `name+9757ffe8+AQ…`, as Go's note package writes verifier keys.
    package init(parsing text: String) throws {
        (name, publicKey) = try NoteKey.parts(of: text, kind: NoteKey.ed25519, called: "a verifier key")
        hash = try NoteKey.hash(name, publicKey, kind: NoteKey.ed25519)
    }

    package var description: String { NoteKey.text(name, hash, publicKey, kind: NoteKey.ed25519) }

    /// `name+hash+key`, the key with a byte before it that tells what it signs.
    static func text(_ name: String, _ hash: [UInt8], _ key: PublicKey, kind: UInt8) -> String {
        "\(name)+\(hashText(hash))+\(Base64.encode([kind] + key.raw))"
    }

    /// Reads what `text` writes.
    static func parts(of text: String, kind: UInt8, called: String) throws -> (String, PublicKey) {
        let parts = text.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false).map(
            String.init)
        let bytes = parts.count == 3 ? Base64.decodeStandard(parts[2]) : nil
        guard let bytes, bytes.first == kind else {
            throw Failure(.keyUnusable, "this is not \(called): name+hash+key, of the kind Ed25519")
        }
        let key = try PublicKey(.ed25519, raw: Array(bytes.dropFirst()))
        guard parts[1] == hashText(try hash(parts[0], key, kind: kind)) else {
            throw Failure(
                .keyUnusable, "the hash in \(called) does not fit its name and key",
                suggestion: "copy all of the key again")
        }
        return (parts[0], key)
    }

    private static func hashText(_ hash: [UInt8]) -> String {
        hash.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    static func isName(_ name: String) -> Bool {
        !name.isEmpty
            && !name.unicodeScalars.contains { $0 == "+" || $0.value < 0x20 || $0.properties.isWhitespace }
    }
}

/// A text with the signatures of several below it.
package struct SignedNote: Hashable, Sendable {
    package struct Signature: Hashable, Sendable {
        package var name: String
        /// Names the key, beside the name.
        package var hash: [UInt8]
        package var bytes: [UInt8]

        package init(name: String, hash: [UInt8], bytes: [UInt8]) {
            self.name = name
            self.hash = hash
            self.bytes = bytes
        }
    }

    /// Ends with a newline, which is signed too.
    package private(set) var text: String
    package private(set) var signatures: [Signature]

    package enum Limit {
        package static let bytes = 1 << 20
        package static let signatures = 100
    }

    package init(signing text: String, name: String, with key: SigningKey) throws {
        guard SignedNote.isText(text), text.utf8.last == UInt8(ascii: "\n") else {
            throw Failure(.invalidArgument, "a note is lines of text, and nothing else can be signed")
        }
        self.text = text
        signatures = []
        try sign(name, key)
    }

    /// Adds one more signature.
    package mutating func sign(_ name: String, _ key: SigningKey) throws {
        let verifier = try NoteKey(name: name, publicKey: key.publicKey)
        let signature = try key.signature(of: Array(text.utf8), as: .ledger)
        signatures.append(Signature(name: name, hash: verifier.hash, bytes: signature))
    }

    /// Adds one that somebody else made, and nobody checks here. Once is enough.
    package mutating func add(_ signature: Signature) {
        if !signatures.contains(signature) { signatures.append(signature) }
    }

    package var bytes: [UInt8] {
        let lines = signatures.map { "— \($0.name) \(Base64.encode($0.hash + $0.bytes))\n" }
        return Array((text + "\n" + lines.joined()).utf8)
    }

    package init(parsing bytes: [UInt8]) throws {
        guard bytes.count <= Limit.bytes, let whole = String(validating: bytes, as: UTF8.self),
            SignedNote.isText(whole)
        else { throw SignedNote.damaged("it is no plain text, or has more than \(Limit.bytes >> 20) MiB") }
        // By bytes: to a reader of characters, a mark after a newline would belong to it.
        let newline = UInt8(ascii: "\n")
        guard
            let blank = bytes.indices.dropLast().last(where: {
                bytes[$0] == newline && bytes[$0 + 1] == newline
            }), bytes.last == newline, blank + 2 < bytes.count
        else { throw SignedNote.damaged("no blank line and no signatures follow the text") }
        let lines = bytes[(blank + 2)..<(bytes.count - 1)].split(
            separator: newline, omittingEmptySubsequences: false)
        guard lines.count <= Limit.signatures else {
            throw SignedNote.damaged("it has more than \(Limit.signatures) signatures")
        }
        text = String(decoding: bytes[...blank], as: UTF8.self)
        signatures = try lines.map { line in
            let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard parts.count == 3, parts[0] == "—", NoteKey.isName(parts[1]),
                let signature = Base64.decodeStandard(parts[2]), signature.count > 4
            else { throw SignedNote.damaged("a line below the text is no signature") }
            return Signature(
                name: parts[1], hash: Array(signature.prefix(4)), bytes: Array(signature.dropFirst(4)))
        }
    }

    /// The keys among these that signed the text. Throws where one of them is named by a signature that is not its.
    package func signers(_ keys: [NoteKey]) throws -> [NoteKey] {
        var found: [NoteKey] = []
        for signature in signatures {
            guard let key = keys.first(where: { $0.name == signature.name && $0.hash == signature.hash })
            else { continue }
            guard key.publicKey.verifies(signature.bytes, of: Array(text.utf8)) else {
                throw Failure(
                    .badSignature, "the note was not signed so with the key of \(key.name)",
                    suggestion: "do not rely on it: it was changed after it was signed")
            }
            if !found.contains(key) { found.append(key) }
        }
        return found
    }

    private static func isText(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { $0.value >= 0x20 || $0 == "\n" }
    }

    private static func damaged(_ why: String) -> Failure {
        Failure(.malformedEvidence, "the signed note cannot be read: \(why)")
    }
}
