#pragma once
// Hashes of "correct horse", as cheap as they come, made with other programs than the one under test.

namespace stele::auth::stored {

inline constexpr const char* bcrypt = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
// By crypt(3), with crypt_gensalt(3)'s cost 1.
inline constexpr const char* yescrypt = "$y$j75$saltsaltsaltsalt$IdM6tV9hsIYZkwcNItyWCsVO1t/QVCQfi.yVSuLjuZ5";
// Of "pässword:with colon".
inline constexpr const char* other_bcrypt = "$2b$04$zbcdefghijklmnopqrstuu.9YNtuJ9MzUaAOHof3eEXvC8izGh3zS";
inline constexpr const char* sha512 =
    "$6$rounds=1000$saltsalt$"
    "4GMtaIz3E1AdDi2SmCokEW0ehi.HdxNDcL3fGE1XXuzvo6kbx7UOloZKONqEk5H3JrQA4NOfU8BmqFPrpGqwA1";
inline constexpr const char* pbkdf2_sha256 =
    "$pbkdf2-sha256$1000$MDEyMzQ1Njc4OWFiY2RlZg$cBg8D2DungRB9k76szThf5ehfyBz991ay6PT8Srwk4M";
inline constexpr const char* pbkdf2_sha512 =
    "$pbkdf2-sha512$1000$MDEyMzQ1Njc4OWFiY2RlZg$"
    "OM0FAoIqCVK1sWtxDiffVlBejtLa.ks4TP71JiecwuSZCG8iLbnlIEPOMoVX.i2B2wkSxjQ8CRGR9OkNGuIPMQ";

}  // namespace stele::auth::stored
