import Model

/// Brings the files that `image.include` names into the image of a spec, before any of its keys is read.
///
/// Files come in the order in which they are named, each before the one that names it, and each once. Of what two
/// files say, the later counts: lists of packages, files and sources are joined, variables merged, all else replaced.
struct Includes {
    private let load: (_ path: String) throws -> String
    /// The folder of the spec, as messages say it.
    private let shown: String
    private var problems: Problems
    /// The files being read, the spec first, and those that were read to the end.
    private var open: [String]
    private var done: Set<String> = []
    private var isWhole = true

    private static let joined: Set<String> = [
        ImageKeys.packages.name, ImageKeys.files.name, ImageKeys.sources.name, ImageKeys.build.name,
    ]

    /// The spec with an image that includes nothing more; nil where a file cannot be had, and `problems` says why.
    static func expand(
        _ root: SpecNode, file: String, load: (_ path: String) throws -> String, _ problems: inout Problems
    ) -> SpecNode? {
        guard case .mapping(var pairs) = root.content,
            let index = pairs.firstIndex(where: { $0.key == SpecKeys.image.name }),
            case .mapping(let image) = pairs[index].value.content,
            image.contains(where: { $0.key == ImageKeys.include.name })
        else { return root }
        return withoutActuallyEscaping(load) { load in
            var includes = Includes(load: load, file: file, problems)
            let whole = includes.including(image, of: SpecPath.name(of: file))
            problems = includes.problems
            pairs[index].value.content = .mapping(whole)
            return includes.isWhole ? SpecNode(line: root.line, content: .mapping(pairs)) : nil
        }
    }

    private init(load: @escaping (String) throws -> String, file: String, _ problems: Problems) {
        self.load = load
        self.problems = problems
        shown = SpecPath.folder(of: file)
        open = [SpecPath.name(of: file)]
    }

    /// What a file says with all that it includes.
    private mutating func including(_ own: [SpecNode.Pair], of file: String) -> [SpecNode.Pair] {
        guard let include = own.first(where: { $0.key == ImageKeys.include.name }) else { return own }
        let rest = own.filter { $0.key != ImageKeys.include.name }
        guard let paths = ImageKeys.include.form.read(include.value, .key(include.key), &problems) else {
            isWhole = false
            return rest
        }
        var whole: [SpecNode.Pair] = []
        for path in paths {
            let place = SpecPath.joined(SpecPath.folder(of: file), path.value)
            if done.contains(place) { continue }
            guard let fragment = read(place, line: path.line) else {
                isWhole = false
                continue
            }
            open.append(place)
            whole = merge(whole, including(fragment, of: place))
            open.removeLast()
            done.insert(place)
        }
        return merge(whole, rest)
    }

    private mutating func read(_ path: String, line: Int) -> [SpecNode.Pair]? {
        func refuse(_ message: String, _ suggestion: String) -> [SpecNode.Pair]? {
            problems.add(message, line: line, suggestion: suggestion)
            return nil
        }
        if let first = open.firstIndex(of: path) {
            let circle = (open[first...] + [path]).joined(separator: " → ")
            return refuse("files include each other in a circle: \(circle)", "remove one of these includes")
        }
        if open.count > Bounds.includeDepth {
            return refuse(
                "files include each other \(open.count) deep; \(Bounds.includeDepth) is the most",
                "include the last one from the spec itself")
        }
        if done.count + open.count > Bounds.includedFiles {
            return refuse(
                "more than \(Bounds.includedFiles) files are included", "put several of them into one")
        }
        let text: String
        do {
            text = try load(path)
        } catch {
            let failure = Failure.list(error)[0]
            return refuse(
                "\(quoted(path)) cannot be included: \(failure.message)",
                failure.suggestion ?? "make the file, or mend the path")
        }
        let isAbsolute = shown.hasPrefix("/")
        let name = (isAbsolute ? "/" : "") + SpecPath.joined(shown, path)
        var own = Problems(file: name)
        let raise = problems.begin(file: name, folder: SpecPath.folder(of: path))
        let root = SpecDocument.read(text, problems: &own)
        problems.add(own, raised: raise)
        guard let root else { return nil }
        guard case .mapping(let pairs) = root.raised(by: raise).content else {
            problems.add(
                "the file is \(root.kindName); settings are needed", line: root.line + raise,
                suggestion: "write keys of image into it, such as packages: [ca-certificates]")
            return nil
        }
        return pairs
    }

    /// The settings of two files, of which `upper` is the nearer.
    private mutating func merge(_ lower: [SpecNode.Pair], _ upper: [SpecNode.Pair]) -> [SpecNode.Pair] {
        var merged = lower
        for pair in upper {
            // Two ways to say where packages come from: the nearer file chooses.
            let other = [
                ImageKeys.mirror.name: ImageKeys.sources.name, ImageKeys.sources.name: ImageKeys.mirror.name,
            ][pair.key]
            merged.removeAll { old in old.key == other && !upper.contains { $0.key == other } }
            guard let index = merged.firstIndex(where: { $0.key == pair.key }) else {
                merged.append(pair)
                continue
            }
            let old = merged[index]
            merged[index] = pair
            switch (old.value.content, pair.value.content) {
            case (.list(let below), .list(let above)) where Includes.joined.contains(pair.key):
                merged[index].value.content = .list(below + above)
            case (.mapping(let below), .mapping(let above)) where pair.key == ImageKeys.environment.name:
                let kept = below.filter { row in !above.contains { $0.key == row.key } }
                merged[index].value.content = .mapping(kept + above)
            default:
                ImageKeys.all.first { $0.name == pair.key }?.check(old, &problems)
            }
        }
        return merged
    }
}
