/// Values by path, where paths are equal by their bytes as file systems have it. Strings as keys would take two files
/// for one whose names Unicode says are the same, such as é in one character and in two.
package struct PathTable<Value>: Sequence, ExpressibleByDictionaryLiteral {
    package typealias Element = (key: String, value: Value)

    fileprivate var rows: [FileName: Value]

    package init(minimumCapacity: Int = 0) { rows = Dictionary(minimumCapacity: minimumCapacity) }

    package init(dictionaryLiteral elements: (String, Value)...) {
        rows = Dictionary(elements.map { (FileName($0), $1) }) { $1 }
    }

    package subscript(path: String) -> Value? {
        get { rows[FileName(path)] }
        set { rows[FileName(path)] = newValue }
        _modify { yield &rows[FileName(path)] }
    }

    package var count: Int { rows.count }
    package var isEmpty: Bool { rows.isEmpty }
    /// In no order.
    package var keys: some Sequence<String> { rows.keys.lazy.map(\.text) }
    package var values: some Sequence<Value> { rows.values }

    package func mapValues<Other>(_ transform: (Value) throws -> Other) rethrows -> PathTable<Other> {
        var other = PathTable<Other>(minimumCapacity: count)
        other.rows = try rows.mapValues(transform)
        return other
    }

    /// In no order.
    package func makeIterator() -> AnyIterator<Element> {
        var inner = rows.makeIterator()
        return AnyIterator { inner.next().map { ($0.key.text, $0.value) } }
    }
}

extension PathTable: Sendable where Value: Sendable {}
extension PathTable: Equatable where Value: Equatable {}

/// A name in a folder, or a path, equal by its bytes: unlike strings, which are equal where Unicode says so.
package struct FileName: Hashable, Sendable {
    package let text: String

    package init(_ text: String) { self.text = text }

    package static func == (left: FileName, right: FileName) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
