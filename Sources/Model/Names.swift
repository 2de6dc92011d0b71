/// The name of a service: 1 to 40 of `a-z 0-9 -`, beginning with a letter, not ending with a dash.
package struct ServiceName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let text: String

    package init(_ text: String) throws {
        self.text = try Name.checked(text, what: "service name", longest: 40)
    }

    package var description: String { text }
    package static func < (left: ServiceName, right: ServiceName) -> Bool { left.text < right.text }
}

/// A named place for releases, such as `staging`; by the same rule as a service name, at most 20 long.
package struct EnvironmentName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let text: String
    package static let production = try! EnvironmentName("production")

    package init(_ text: String) throws {
        self.text = try Name.checked(text, what: "environment name", longest: 20)
    }

    package var description: String { text }
    package static func < (left: EnvironmentName, right: EnvironmentName) -> Bool { left.text < right.text }
}

private enum Name {
    static func checked(_ text: String, what: String, longest: Int) throws -> String {
        let isValid =
            (1...longest).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
            && (0x61...0x7a).contains(text.utf8.first!) && text.utf8.last != 0x2d
        guard isValid else {
            throw Failure(
                .invalidArgument, "\"\(text.prefix(60))\" is not a \(what)",
                suggestion: "use 1 to \(longest) of a-z, 0-9 and -, beginning with a letter, such as web-api")
        }
        return text
    }
}

/// A service in an environment: what is deployed, numbered and rolled back as one.
package struct ServiceKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let service: ServiceName
    package let environment: EnvironmentName

    package init(_ service: ServiceName, in environment: EnvironmentName = .production) {
        self.service = service
        self.environment = environment
    }

    /// `hello` in production, `hello@staging` elsewhere.
    package init(parsing text: String) throws {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        service = try ServiceName(parts[0])
        environment = parts.count == 2 ? try EnvironmentName(parts[1]) : .production
    }

    package var description: String {
        environment == .production ? service.text : "\(service)@\(environment)"
    }

    package static func < (left: ServiceKey, right: ServiceKey) -> Bool {
        (left.service, left.environment) < (right.service, right.environment)
    }
}

/// The number of a release within its service and environment, written `r7`. Numbers start at 1 and are never reused.
package struct ReleaseNumber: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let value: Int

    package init(_ value: Int) {
        precondition(value >= 1, "releases are numbered from 1")
        self.value = value
    }

    package init(parsing text: String) throws {
        guard let value = Int(text.hasPrefix("r") ? String(text.dropFirst()) : text), value >= 1 else {
            throw Failure(.invalidArgument, "\"\(text)\" is not a release", suggestion: "write r1, r2, …")
        }
        self.value = value
    }

    package var description: String { "r\(value)" }
    package static func < (left: ReleaseNumber, right: ReleaseNumber) -> Bool { left.value < right.value }
}

/// The name of one instance, such as `hello-r3-12`. Never used twice on a host.
package struct InstanceID: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let text: String
    /// The number at its end: how many its service had named when it was named.
    package let ordinal: Int
    /// Names are looked up far more often than they are made.
    private let fingerprint: UInt64

    /// At most 120 of `a-z 0-9 -`: safe as a file, cgroup and proxy server name.
    package init(_ text: String) throws {
        let isValid =
            (1...120).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d
            }
        guard isValid else {
            throw Failure(.invalidArgument, "\"\(text.prefix(60))\" is not an instance name")
        }
        self.init(unchecked: text)
    }

    /// The `ordinal`-th instance that this service ever had, launched for `release`.
    package init(_ key: ServiceKey, release: ReleaseNumber, ordinal: Int) {
        let place = key.environment == .production ? "" : "-\(key.environment)"
        self.init(unchecked: "\(key.service)\(place)-\(release)-\(ordinal)")
    }

    private init(unchecked text: String) {
        self.text = text
        // FNV-1a; the number ends with what follows the last letter or dash, and stops short of an overflow.
        var (hash, value) = (0xcbf2_9ce4_8422_2325 as UInt64, 0)
        for byte in text.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
            value =
                (0x30...0x39).contains(byte) ? (value * 10 + Int(byte - 0x30)) % InstanceID.ordinalBound : 0
        }
        (fingerprint, ordinal) = (hash, value)
    }

    /// The release that it was launched for; nil for a name that no service gave.
    package var release: ReleaseNumber? {
        let parts = text.split(separator: "-")
        guard parts.count > 2, parts[parts.count - 2].hasPrefix("r") else { return nil }
        return try? ReleaseNumber(parsing: String(parts[parts.count - 2]))
    }

    /// Above any number of instances that a service can have named.
    private static let ordinalBound = 1_000_000_000_000

    package static func == (left: InstanceID, right: InstanceID) -> Bool {
        left.fingerprint == right.fingerprint && left.text == right.text
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(fingerprint) }

    package var description: String { text }
    package static func < (left: InstanceID, right: InstanceID) -> Bool {
        (left.text.utf8.count, left.text) < (right.text.utf8.count, right.text)
    }
}

/// A value that is written as one string, in JSON and as a JSON object's key.
package protocol TextCodable: Codable, CodingKeyRepresentable, CustomStringConvertible {
    init(parsing text: String) throws
}

extension TextCodable {
    package init(from decoder: any Decoder) throws {
        try self.init(parsing: try decoder.singleValueContainer().decode(String.self))
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    package var codingKey: any CodingKey { TextKey(stringValue: description) }

    package init?(codingKey: some CodingKey) {
        guard let value = try? Self(parsing: codingKey.stringValue) else { return nil }
        self = value
    }
}

private struct TextKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension ServiceName: TextCodable { package init(parsing text: String) throws { try self.init(text) } }
extension EnvironmentName: TextCodable { package init(parsing text: String) throws { try self.init(text) } }
extension InstanceID: TextCodable { package init(parsing text: String) throws { try self.init(text) } }
extension ServiceKey: TextCodable {}
extension ReleaseNumber: TextCodable {}
