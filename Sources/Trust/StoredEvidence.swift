internal import Model

/// Evidence as one document, for a store beside the image that it is about. A bundle stays as it came.
extension Evidence {
    package var stored: [UInt8] {
        switch self {
        case .bundle(let bytes): bytes
        case .simpleSigning(let payload, let signature):
            JSONValue.object([
                "mediaType": .string(SimpleSigning.mediaType), "payload": .string(Base64.encode(payload)),
                "signature": .string(signature),
            ]).bytes
        }
    }

    /// Anything else is taken for a bundle, which the decision will refuse by name.
    package init(stored bytes: [UInt8]) {
        guard let json = try? JSONValue(parsing: bytes), json["mediaType"]?.text == SimpleSigning.mediaType,
            let payload = json["payload"]?.text.flatMap(Base64.decode),
            let signature = json["signature"]?.text
        else {
            self = .bundle(bytes)
            return
        }
        self = .simpleSigning(payload: payload, signature: signature)
    }
}
