internal import Foundation
internal import ImageFormat
internal import Model

/// An answer that says no, as a failure that a user understands.
enum Refusal {
    /// How much of a registry's own words is shown.
    static let shown = 200

    static func failure(_ answer: Answer, _ doing: String) async -> Failure {
        let body = (try? await answer.body(limit: Transport.Limit.refusal)) ?? []
        return failure(status: answer.status, words: words(body), doing, at: "\(answer.address)")
    }

    static func failure(status: Int, words: String?, _ doing: String, at place: String) -> Failure {
        let said = words.map { ": \($0)" } ?? ""
        switch status {
        case 401, 403:
            return Failure(
                .notSignedIn, "\(doing) is not allowed (\(status))\(said)", at: place,
                suggestion: "sign in as somebody who may, with docker, podman or skopeo")
        case 404:
            return Failure(
                .notFound, "\(doing): the registry has no such thing\(said)", at: place,
                suggestion: "check the repository and the tag")
        case 429:
            return Failure(
                .registryRefused, "\(doing): the registry takes no more requests now\(said)", at: place,
                suggestion: "come back later, or sign in: who is known may often ask more")
        default:
            return Failure(
                .registryRefused, "\(doing): the registry answered \(status)\(said)", at: place,
                suggestion: status >= 500
                    ? "try again later; the registry's own log says more"
                    : "see that the address is a registry's, and what its log says")
        }
    }

    /// The first error of the distribution spec's list, on one line and without what could move a cursor.
    static func words(_ body: [UInt8]) -> String? {
        guard let json = try? JSONValue(parsing: body), let first = json["errors"]?.elements?.first else {
            return nil
        }
        let text = [first["code"]?.text, first["message"]?.text].compactMap { $0 }.joined(separator: ", ")
        let clean = text.unicodeScalars.map {
            $0.properties.generalCategory == .control ? " " : Character($0)
        }
        return clean.isEmpty ? nil : String(String(clean).prefix(shown))
    }
}

/// What a token server answers (distribution's token spec).
enum TokenAnswer {
    static let limit = 256 << 10

    static func parse(_ body: [UInt8], place: String) throws -> Token {
        let json = try? JSONValue(parsing: body)
        guard let text = json?["token"]?.text ?? json?["access_token"]?.text,
            // It goes into a header.
            !text.isEmpty, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { throw Failure(.notSignedIn, "the token server gave no token", at: place) }
        let seconds = json?["expires_in"]?.number ?? 0
        return Token(
            text: text,
            lifetime: seconds > 0
                ? min(.seconds(min(seconds, 1_000_000)), Token.longestLifetime) : Token.usualLifetime)
    }
}
