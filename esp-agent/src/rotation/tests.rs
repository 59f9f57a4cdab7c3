mod crash;
mod rules;
mod world;
