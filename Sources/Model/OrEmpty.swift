/// A list that earlier versions did not write: it is empty where it is missing, and left out where it is empty.
@propertyWrapper
package struct OrEmpty<Element: Hashable & Sendable>: Hashable, Sendable {
    package var wrappedValue: [Element]

    package init(wrappedValue: [Element]) { self.wrappedValue = wrappedValue }
}

// On paper it is the list itself.

extension OrEmpty: Encodable where Element: Encodable {
    package func encode(to encoder: any Encoder) throws { try wrappedValue.encode(to: encoder) }
}

extension OrEmpty: Decodable where Element: Decodable {
    package init(from decoder: any Decoder) throws { wrappedValue = try [Element](from: decoder) }
}

extension KeyedEncodingContainer {
    package mutating func encode<Element: Encodable>(_ list: OrEmpty<Element>, forKey key: Key) throws {
        if !list.wrappedValue.isEmpty { try encode(list.wrappedValue, forKey: key) }
    }
}

extension KeyedDecodingContainer {
    package func decode<Element: Decodable>(
        _: OrEmpty<Element>.Type, forKey key: Key
    ) throws -> OrEmpty<Element> {
        OrEmpty(wrappedValue: try decodeIfPresent([Element].self, forKey: key) ?? [])
    }
}
