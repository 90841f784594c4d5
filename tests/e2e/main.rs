//! The two programs, each host in a network of its own: what the project promises its users, tried whole.
//!
//! One module per promise. Times are asserted with much room and told as figures.

mod acme;
mod alone;
mod api;
mod arrive;
mod blocked;
mod choice;
mod cloud;
mod conduct;
mod consent;
mod crash;
mod crowd;
mod disk;
mod feed;
mod figures;
mod full;
mod giving;
mod hooks;
mod hostile;
mod https;
mod install;
mod interface;
mod life;
mod media;
mod memory;
mod mirror;
mod moving;
mod nat;
mod numbers;
mod options;
mod parser;
mod play;
mod people;
mod private;
mod proxy;
mod reach;
mod rush;
mod still;
mod uplink;
mod view;
mod watched;
mod web;
mod websub;
mod wild;
