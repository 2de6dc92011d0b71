package import Model

/// A signed document (DSSE 1.0): the signature covers its type and its bytes, and only these bytes are read.
package struct Envelope: Hashable, Sendable {
    package var payloadType: String
    package var payload: [UInt8]
    /// ASN.1 DER of P-256.
    package var signature: [UInt8]

    package static let mediaType = "application/vnd.dsse.envelope.v1+json"

    package enum Limit {
        package static let payload = 3 << 20
        package static let signature = 1024
    }

    package init(payloadType: String, payload: [UInt8], signature: [UInt8]) {
        self.payloadType = payloadType
        self.payload = payload
        self.signature = signature
    }

    /// Signs a document as work of one role.
    package init(signing payload: [UInt8], type: String, with key: SigningKey, as role: KeyRole) throws {
        let message = Envelope.preAuthentication(type, payload)
        self.init(
            payloadType: type, payload: payload, signature: try key.signature(of: message, as: role))
    }

    /// What is signed: `DSSEv1 LENGTH TYPE LENGTH BODY`, lengths in decimal bytes (DSSE's PAE).
    package static func preAuthentication(_ type: String, _ body: [UInt8]) -> [UInt8] {
        Array("DSSEv1 \(type.utf8.count) \(type) \(body.count) ".utf8) + body
    }

    /// Whether this key made the signature, over exactly this type and these bytes.
    package func isSigned(by key: PublicKey) -> Bool {
        key.verifies(signature, of: Envelope.preAuthentication(payloadType, payload))
    }

    /// With neither `keyid` nor a second signature: readers differ in what they make of those.
    package var json: JSONValue {
        .object([
            "payload": .string(Base64.encode(payload)), "payloadType": .string(payloadType),
            "signatures": .array([.object(["sig": .string(Base64.encode(signature))])]),
        ])
    }

    /// Reads exactly what a verifier needs, and refuses what two verifiers could understand in two ways.
    package init(_ json: JSONValue?) throws {
        guard let members = json?.members, let type = members["payloadType"]?.text,
            let payload = members["payload"]?.text, let signatures = members["signatures"]?.elements
        else { throw Malformed.evidence("the envelope lacks its payload, its type or its signatures") }
        guard Set(members.keys).subtracting(["payload", "payloadType", "signatures"]).isEmpty else {
            throw Malformed.evidence("the envelope has members that are not DSSE's")
        }
        guard signatures.count == 1, let entry = signatures[0].members else {
            throw Malformed.evidence("the envelope has \(signatures.count) signatures, and 1 is expected")
        }
        guard Set(entry.keys).subtracting(["sig", "keyid"]).isEmpty, let sig = entry["sig"]?.text,
            let signature = Base64.decode(sig), (1...Limit.signature).contains(signature.count)
        else { throw Malformed.evidence("the envelope's signature is no base64 of a signature") }
        // A hint that nobody signed: only its absence can be relied on.
        guard entry["keyid"].map({ $0.text == "" }) ?? true else {
            throw Malformed.evidence("the envelope's signature names a key, which nothing vouches for")
        }
        guard let body = Base64.decode(payload), body.count <= Limit.payload else {
            throw Malformed.evidence(
                "the envelope's payload is no base64, or has more than \(Limit.payload >> 20) MiB")
        }
        self.init(payloadType: type, payload: body, signature: signature)
    }

    package init(parsing bytes: [UInt8]) throws { try self.init(try Malformed.reading(bytes)) }
}

/// What cannot be read as evidence of anything.
enum Malformed {
    static func evidence(_ why: String) -> Failure {
        Failure(
            .malformedEvidence, why, suggestion: "sign again: kiln image sign IMAGE --key KEY")
    }

    static func reading(_ bytes: [UInt8]) throws -> JSONValue {
        do {
            return try JSONValue(parsing: bytes)
        } catch let failure as Failure {
            throw evidence(failure.message)
        }
    }
}
