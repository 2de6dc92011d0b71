// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
]

/// Of what decides and what bakes, which tests have do a great deal: quick in debug builds too, with all assertions.
let quickSettings: [SwiftSetting] =
    settings + [.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug))]

func product(_ name: String, _ package: String) -> Target.Dependency {
    .product(name: name, package: package)
}
let argumentParser = product("ArgumentParser", "swift-argument-parser")
let asyncHTTPClient = product("AsyncHTTPClient", "async-http-client")
let crypto = product("Crypto", "swift-crypto")
let cryptoExtras = product("CryptoExtras", "swift-crypto")
let grdb = product("GRDB", "GRDB.swift")
let hummingbird = product("Hummingbird", "hummingbird")
let httpTypes = product("HTTPTypes", "swift-http-types")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let logging = product("Logging", "swift-log")
let nio = product("NIOCore", "swift-nio")
let nioHTTP1 = product("NIOHTTP1", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let nioSSL = product("NIOSSL", "swift-nio-ssl")

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func quickLibrary(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: quickSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: settings)
}

func system(_ name: String, _ pkgConfig: String, apt package: String) -> Target {
    .systemLibrary(name: name, pkgConfig: pkgConfig, providers: [.apt([package])])
}

// Layer by layer, as ARCHITECTURE.md draws them: a target imports downwards only.
let package = Package(
    name: "kiln",
    products: [.executable(name: "kiln", targets: ["kiln"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1",
            traits: ["FullFoundation"]),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        system("CLZMA", "liblzma", apt: "liblzma-dev"),
        system("CZstd", "libzstd", apt: "libzstd-dev"),
        system("CLibdeflate", "libdeflate", apt: "libdeflate-dev"),
        .target(name: "CDeflate", cSettings: [.unsafeFlags(["-O3"])]),
        .target(name: "CLinux", cSettings: [.define("_GNU_SOURCE")]),

        quickLibrary("Model"),

        library("SpecFile", ["Model", product("Yams", "Yams")]),
        quickLibrary("Planning", ["Model"]),
        quickLibrary("ImageFormat", ["Model", "CDeflate", "CLZMA", "CZstd", "CLibdeflate", crypto]),
        quickLibrary("Trust", ["Model", crypto, cryptoExtras]),
        library("Ports", ["Model"]),
        library("Threads"),
        library("WireAPI", ["Model"]),

        quickLibrary("Baking", ["Model", "ImageFormat", "Ports", "Threads", asyncHTTPClient, nio, nioHTTP1]),
        quickLibrary("Execution", ["Model", "Planning", "Trust", "Ports", logging]),
        library("HostPlatform", ["Model", "Ports", "Threads", "WireAPI", "CLinux", crypto, logging]),
        library("Storage", ["Model", "Ports", "Trust", grdb]),
        library("Notary", ["Model", "Ports", "Trust", asyncHTTPClient, nio, nioHTTP1, nioPosix]),
        library("GateClient", ["Model", "Ports", asyncHTTPClient, nio, nioHTTP1, nioPosix]),
        library(
            "RegistryClient",
            ["Model", "ImageFormat", "Ports", "Threads", asyncHTTPClient, nio, nioHTTP1, nioPosix, nioSSL]),

        library(
            "WebServer",
            ["Model", "WireAPI", "Execution", "Ports", hummingbird, httpTypes, logging, nio]),
        library(
            "CommandLineTool",
            [
                "Model", "WireAPI", "SpecFile", "ImageFormat", "Trust", "Baking", "RegistryClient",
                "Notary", "Ports", "Threads", argumentParser,
            ]),

        .executableTarget(
            name: "kiln",
            dependencies: [
                "Model", "Ports", "Trust", "SpecFile", "Baking", "Execution", "HostPlatform", "Storage",
                "GateClient", "Notary", "Threads", "WebServer", "CommandLineTool", lifecycle, logging,
                product("UnixSignals", "swift-service-lifecycle"),
            ], swiftSettings: settings),

        .target(
            name: "TestKit", dependencies: ["Model", "Ports"], path: "Tests/TestKit", swiftSettings: settings),
        .target(
            name: "TestWeb", dependencies: [nio, nioHTTP1, nioPosix], path: "Tests/TestWeb",
            swiftSettings: settings),
        .target(
            name: "Simulation", dependencies: ["Model", "Planning", "Execution", "TestKit"],
            path: "Tests/Simulation", exclude: ["Command"], swiftSettings: quickSettings),
        .executableTarget(
            name: "simulate", dependencies: ["Simulation"], path: "Tests/Simulation/Command",
            swiftSettings: settings),
        tests("SimulationTests", ["Model", "Planning", "TestKit", "Simulation"]),
        .executableTarget(
            name: "testserver", path: "Tests/TestServer", cSettings: [.define("_GNU_SOURCE")],
            // Its images have a C library and nothing of Swift.
            linkerSettings: [.linkedLibrary("pthread"), .unsafeFlags(["-static-executable"])]),
        tests("ModelTests", ["Model", "TestKit"]),
        tests("SpecFileTests", ["Model", "SpecFile"]),
        tests("PlanningTests", ["Model", "Ports", "Planning", "TestKit"]),
        tests("ImageFormatTests", ["Model", "ImageFormat", "TestKit", crypto]),
        tests(
            "BakingTests",
            ["Model", "Ports", "ImageFormat", "Baking", "Storage", "TestKit", "TestWeb", nioHTTP1]),
        tests(
            "HostPlatformTests",
            ["Model", "Ports", "TestKit", "Threads", "WireAPI", "HostPlatform", "CLinux", logging]),
        tests("StorageTests", ["Model", "Ports", "Trust", "Storage", "TestKit", grdb]),
        tests(
            "ExecutionTests",
            ["Model", "Ports", "Planning", "Execution", "Storage", "Trust", "TestKit", logging]),
        tests("TrustTests", ["Model", "Trust", "TestKit", crypto], exclude: ["checklog"]),
        tests(
            "NotaryTests",
            ["Model", "Ports", "Trust", "Notary", "Storage", "TestKit", "TestWeb", nioHTTP1]),
        tests("WireAPITests", ["Model", "WireAPI", "TestKit"]),
        tests(
            "CommandLineToolTests",
            ["Model", "WireAPI", "Ports", "Storage", "Trust", "CommandLineTool", "TestKit"]),
        tests("GateClientTests", ["Model", "Ports", "GateClient", "TestKit", nio, nioHTTP1, nioPosix]),
        tests(
            "RegistryClientTests",
            [
                "Model", "Ports", "ImageFormat", "RegistryClient", "Baking", "Storage", "TestKit", "TestWeb",
                nioHTTP1,
            ]),
        tests(
            "Integration",
            [
                "Model", "WireAPI", "Ports", "Trust", "Baking", "Execution", "HostPlatform", "Storage",
                "testserver",
                "TestKit", logging,
            ], exclude: ["packages.yaml", "sets"]),
        .executableTarget(
            name: "PlanBenchmark", dependencies: ["Model", "Planning"], path: "Benchmarks/Plan",
            swiftSettings: settings),
        .executableTarget(
            name: "TrustBenchmark",
            dependencies: [
                "Model", "Ports", "Trust", "Storage", "Execution", "CommandLineTool", logging,
            ], path: "Benchmarks/Trust", swiftSettings: settings),
        .executableTarget(
            name: "DriftBenchmark", dependencies: ["Model", "Ports", "Trust", "HostPlatform", logging],
            path: "Benchmarks/Drift", swiftSettings: settings),
    ]
)
