/// Does the same for every element, at most `width` at a time and begun in their order; gives the results in that
/// order. The first failure ends it. `ended` hears of each element when it is done.
func inParallel<Element: Sendable, Result: Sendable>(
    _ elements: [Element], width: Int, ended: (Element, Result) -> Void = { _, _ in },
    _ work: @escaping @Sendable (Element) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: (Int, Result).self) { group in
        var rest = elements.indices[...]
        func start() {
            guard let index = rest.popFirst() else { return }
            group.addTask {
                try Task.checkCancellation()
                return (index, try await work(elements[index]))
            }
        }
        for _ in 0..<width { start() }
        var results = [Result?](repeating: nil, count: elements.count)
        while let (index, result) = try await group.next() {
            results[index] = result
            ended(elements[index], result)
            start()
        }
        return results.compactMap(\.self)
    }
}
